/** The instances of one service: `GET /v1/health/service/<name>`, and which of them may serve. */
import type { Instance } from "../../gateway/model/index.ts";
import type { ConsulClient } from "../api/client.ts";
import { ConsulError, oneLine } from "../api/errors.ts";
import { fieldOf } from "../api/fields.ts";
import type { Answer, WatchQuery } from "../watching/watch.ts";

/** One registration; `instance` is `null` when it may not serve now. */
export interface Registration {
  /** `<node>/<service id>`: a service's ID is unique on its node only. */
  readonly id: string;
  /** The index at which it was made; `null` when Consul does not say. */
  readonly createIndex: number | null;
  readonly instance: Instance | null;
  /** Why it can never serve as it is registered; `null`: it can, while its checks pass. */
  readonly fault: string | null;
}

/**
 * How a read is answered (Consul's API page "Consistency Modes"): by any server, by the leader, or by a leader that has made
 * sure that it still leads.
 */
export type ReadMode = "stale" | "default" | "consistent";

/** The parameter of a mode. */
export function modeQuery(mode: ReadMode): Readonly<Record<string, string>> {
  return mode === "default" ? {} : { [mode]: "" };
}

/** Health API page, "List Service Instances for Service". `datacenter` `null`: the agent's own. */
export async function readHealth(
  consul: ConsulClient,
  name: string,
  datacenter: string | null,
  query: WatchQuery,
  mode: ReadMode = "default",
): Promise<Answer<readonly Registration[]>> {
  const { index, body, ...rest } = await consul.read({
    path: "/health/service/{service}",
    params: { service: name },
    query: {
      ...(datacenter === null ? {} : { dc: datacenter }),
      ...modeQuery(mode),
    },
    ...query,
  });
  const where = `${consul.url}/v1/health/service/${name}`;
  return { index: index ?? 0, value: decodeHealth(where, body), ...rest };
}

/** Sorted by id. Throws when any entry is no registration: half an answer is none. */
export function decodeHealth(where: string, body: unknown): readonly Registration[] {
  if (!Array.isArray(body))
    throw new ConsulError("bad_answer", `${where}: the answer is no list of instances`);
  return body
    .map((entry: unknown) => decodeRegistration(where, entry))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

function decodeRegistration(where: string, entry: unknown): Registration {
  const node = fieldOf(entry, "Node");
  const service = fieldOf(entry, "Service");
  const checks = fieldOf(entry, "Checks");
  const nodeName = fieldOf(node, "Node");
  const serviceId = fieldOf(service, "ID");
  if (typeof nodeName !== "string" || typeof serviceId !== "string" || !Array.isArray(checks))
    throw new ConsulError("bad_answer", `${where}: the answer has an entry that is no instance`);
  const id = `${nodeName}/${serviceId}`;
  const address = fieldOf(service, "Address") || fieldOf(node, "Address");
  const port = fieldOf(service, "Port");
  const made = fieldOf(service, "CreateIndex");
  const createIndex = typeof made === "number" ? made : null;
  const tags = fieldOf(service, "Tags") ?? [];
  if (!Array.isArray(tags))
    throw new ConsulError("bad_answer", `${where}: the answer has tags that are no list`);
  const fault = findFault(address, port);
  const weight = weigh(fieldOf(service, "Weights"), checks);
  if (fault !== null || weight < 1 || typeof address !== "string" || typeof port !== "number")
    return { id, createIndex, instance: null, fault };
  const texts = tags.filter((tag) => typeof tag === "string").sort();
  const meta = metaOf(fieldOf(service, "Meta"));
  const instance = { id, address, port, weight, tags: texts, ...(meta === null ? {} : { meta }) };
  return { id, createIndex, instance, fault };
}

/** `null`: there is none. */
function metaOf(meta: unknown): Readonly<Record<string, string>> | null {
  if (typeof meta !== "object" || meta === null) return null;
  const texts = Object.entries(meta).filter(
    (pair): pair is [string, string] => typeof pair[1] === "string",
  );
  return texts.length === 0 ? null : Object.fromEntries(texts);
}

/** Without an address and a port there is nothing to connect to (a service may register without). */
function findFault(address: unknown, port: unknown): string | null {
  if (typeof address !== "string" || address === "") return "it has no address";
  if (/^\[.*\]$/.test(address))
    return `its address is ${oneLine(address)}: an IPv6 address has no brackets`;
  if (!/^[A-Za-z0-9_.:%-]+$/.test(address)) return `its address is no host: ${oneLine(address)}`;
  // Newer versions leave a port of 0 out.
  if (port === 0 || port === undefined) return "its port is 0";
  const isPort = typeof port === "number" && Number.isInteger(port) && port > 0 && port <= 65_535;
  return isPort ? null : `its port is no port: ${oneLine(String(port))}`;
}

/**
 * 0 when it may not serve: any critical check, of the service or of its node (`serfHealth` and
 * maintenance mode are checks), or a status that is none of Consul's.
 */
function weigh(weights: unknown, checks: readonly unknown[]): number {
  let field = "Passing";
  for (const check of checks) {
    const status = fieldOf(check, "Status");
    if (status === "warning") field = "Warning";
    else if (status !== "passing") return 0;
  }
  const weight = fieldOf(weights, field) ?? 1;
  return typeof weight === "number" && weight >= 0 ? Math.floor(weight) : 1;
}
