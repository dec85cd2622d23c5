/** What `sluice doctor` says of the services in Consul: whether any passes, and whether any is exposed. */
import { z } from "zod";
import type { ConsulClient } from "../../consul/index.ts";
import { type Exposure, isExposed, reachOf } from "../model/index.ts";
import { type Finding, few, ok, problem, warning } from "./doctor-finding.ts";

const withinMs = 10_000;
/** Each is a query; the others are left to `/status`. */
const mostAsked = 100;
const parallel = 8;

const catalog = z.record(z.string(), z.array(z.string()).nullable());
const instances = z.array(
  z.object({
    Checks: z.array(
      z.object({ Name: z.string(), Status: z.string(), Output: z.string().default("") }),
    ),
  }),
);

interface Look {
  readonly name: string;
  readonly passing: number;
  /** The first instance that does not pass, and why. */
  readonly why: string;
}

/** `exposes`: of the listener that faces outside. `documents`: whether any host or upstream has one. */
export async function checkServices(
  consul: ConsulClient,
  options: { readonly exposes: Exposure; readonly prefix: string },
): Promise<readonly Finding[]> {
  const answer = await consul.read({ path: "/catalog/services", withinMs });
  const services = Object.entries(catalog.parse(answer.body)).filter(([name]) => name !== "consul");
  if (services.length === 0)
    return [
      problem(
        "services",
        "Consul has no service but its own",
        "register some: npx sluice registrator on each Docker host does it for containers with published ports",
      ),
    ];
  const asked = services.slice(0, mostAsked).map(([name]) => name);
  const looks = await inParallel(asked, (name) => lookAt(consul, name));
  const out = looks.filter(({ passing }) => passing === 0);
  const findings: Finding[] = [];
  const some = services.length > asked.length ? `the first ${asked.length} of ` : "";
  if (out.length === 0)
    findings.push(
      ok("services", `${some}${services.length} in Consul, each with a passing instance`),
    );
  else {
    const reasons = few(out.map(({ name, why }) => `${name} (${why})`));
    const todo = "look at their checks: a request to such a service is answered 503";
    const what = `no instance passes: ${reasons}`;
    findings.push(
      out.length === looks.length
        ? problem(
            "services",
            `of ${some}${services.length} services none can be used; ${what}`,
            todo,
          )
        : warning(
            "services",
            `of ${out.length} of ${some}${services.length} services ${what}`,
            todo,
          ),
    );
  }
  findings.push(await checkExposure(consul, services, options));
  return findings;
}

async function checkExposure(
  consul: ConsulClient,
  services: readonly (readonly [string, readonly string[] | null])[],
  { exposes, prefix }: { readonly exposes: Exposure; readonly prefix: string },
): Promise<Finding> {
  const exposed = services.filter(([name, tags]) => isExposed(reachOf(name, tags ?? []), exposes));
  if (exposed.length > 0)
    return ok("exposure", `exposed by name: ${exposed.length} of ${services.length} services`);
  const documented = await Promise.all(
    ["hosts/", "upstreams/", "scripts/"].map((folder) => hasKeys(consul, `${prefix}${folder}`)),
  );
  if (documented.includes(true))
    return ok("exposure", "no service is exposed by name; hosts with documents or scripts are");
  return warning(
    "exposure",
    `--expose ${exposes}: none of the ${services.length} services is exposed, and no host has a document, so every request is answered 404`,
    "tag a service with sluice (label SERVICE_TAGS=sluice), write a document for a host, or start with --expose all where only clients of your own come in",
  );
}

async function hasKeys(consul: ConsulClient, prefix: string): Promise<boolean> {
  const { body } = await consul.read({
    ...{ path: "/kv/{prefix}", params: { prefix }, query: { keys: "", separator: "/" } },
    ...{ emptyWhenMissing: true, withinMs },
  });
  return Array.isArray(body) && body.length > 0;
}

async function lookAt(consul: ConsulClient, service: string): Promise<Look> {
  const { body } = await consul.read({
    ...{ path: "/health/service/{service}", params: { service }, withinMs },
  });
  const found = instances.parse(body);
  const failing = found
    .map(({ Checks }) => Checks.find(({ Status }) => Status !== "passing"))
    .filter((check) => check !== undefined);
  const [first] = failing;
  const said = first?.Output.trim().split("\n", 1)[0]?.slice(0, 120) ?? "";
  const why =
    first === undefined
      ? "it has no instance"
      : `${first.Name} is ${first.Status}${said === "" ? "" : `: ${said}`}`;
  return { name: service, passing: found.length - failing.length, why };
}

async function inParallel<Item, Result>(
  items: readonly Item[],
  work: (item: Item) => Promise<Result>,
): Promise<readonly Result[]> {
  const results: Result[] = [];
  const queue = [...items.entries()];
  const worker = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift())
      results[next[0]] = await work(next[1]);
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  return results;
}
