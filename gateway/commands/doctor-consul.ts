/** What `sluice doctor` asks Consul: whether it answers, what the token may do, what time it is there. */
import http from "node:http";
import https from "node:https";
import { z } from "zod";
import type { ConsulAddress } from "../../consul/api/environment.ts";
import {
  answerWithinMs,
  type ConsulClient,
  ConsulError,
  deadline,
  describeConsulError,
  transact,
} from "../../consul/index.ts";
import { type Finding, ok, problem, warning } from "./doctor-finding.ts";

/** Schedules and rollouts of scripts, and the validity of certificates, depend on the clock. */
const mostSkewSeconds = 5;
/** No key has this index, so a write on this condition never happens. Consul checks the token first. */
const impossibleIndex = Number.MAX_SAFE_INTEGER;

/** The folders of keys that a gateway writes (deploy/consul/gateway.hcl). */
const writtenFolders = ["live/", "history/", "versions/", "gateways/", "keys/"];

/** Whether Consul answers; without a leader it answers and knows nothing. */
export async function checkReach(consul: ConsulClient): Promise<Finding> {
  try {
    const { body } = await consul.read({ path: "/status/leader", withinMs: answerWithinMs });
    if (typeof body === "string" && body !== "")
      return ok("consul", `answers at ${consul.url}, its leader is ${body}`);
    return problem(
      "consul",
      `${consul.url} answers, but its servers have no leader`,
      "look at the servers: a majority of them has to run and to reach each other (consul operator raft list-peers)",
    );
  } catch (error) {
    return problem("consul", describeConsulError(error), adviceFor(error));
  }
}

function adviceFor(error: unknown): string {
  if (error instanceof ConsulError && (error.code === "unreachable" || error.code === "timeout"))
    return "start a Consul agent there (npx sluice agent is one for a single machine), or name another with --consul or CONSUL_HTTP_ADDR; https:// needs CONSUL_CACERT where the authority is not a public one";
  if (
    error instanceof ConsulError &&
    /no known consul servers|no cluster leader/i.test(error.message)
  )
    return "the agent reaches no server: look at its retry_join, and at the ports 8300 and 8301 between them";
  return "name Consul's HTTP API with --consul or CONSUL_HTTP_ADDR, without a path";
}

/** Tries each right that a gateway needs, and leaves nothing behind. */
export async function checkToken(
  consul: ConsulClient,
  prefix: string,
  address: Pick<ConsulAddress, "token">,
  /** The service that the gateway registers itself as; `null`: it does not. */
  serviceName: string | null,
): Promise<Finding> {
  const asked = await Promise.all([
    right(`key_prefix "${prefix}" read`, () => readKey(consul, `${prefix}hosts/doctor`)),
    ...writtenFolders.map((folder) =>
      right(`key_prefix "${prefix}${folder}" write`, () =>
        consul.api.kv.set({
          ...{ key: `${prefix}${folder}doctor`, value: "", cas: impossibleIndex },
          ...deadline,
        }),
      ),
    ),
    right('session_prefix "" write', () => openSession(consul)),
    ...(serviceName === null
      ? []
      : [right(`service "${serviceName}" write`, () => registerNever(consul, serviceName))]),
    right('node_prefix "" read', () => seesAny(consul, "/catalog/nodes")),
    right('service_prefix "" read', () => seesAny(consul, "/catalog/services")),
  ]);
  const unknown = asked.find(({ why }) => why !== null && /ACL not found|not know/i.test(why));
  if (unknown !== undefined)
    return problem(
      "token",
      "Consul does not know the token",
      "give one that exists with CONSUL_HTTP_TOKEN or CONSUL_HTTP_TOKEN_FILE",
    );
  const missing = asked.filter(({ why }) => why !== null);
  if (missing.length === 0)
    return ok("token", address.token === null ? "none is needed" : "it has every right");
  const names = missing.map(({ name }) => name).join("; ");
  const [who, how] =
    address.token === null
      ? ["without a token there is no right to", "give a token with CONSUL_HTTP_TOKEN that has"]
      : ["the token has no right to", "give it"];
  return problem("token", `${who} ${names}`, `${how} the policy deploy/consul/gateway.hcl`);
}

interface Right {
  readonly name: string;
  /** `null`: it is there. */
  readonly why: string | null;
}

/** An answer that has nothing to do with rights is Consul's own affair. */
async function right(name: string, ask: () => Promise<unknown>): Promise<Right> {
  try {
    return { name, why: (await ask()) === hidden ? "nothing is shown" : null };
  } catch (error) {
    return { name, why: isDenied(error) ? describeConsulError(error) : null };
  }
}

/** Consul does not refuse to answer; it leaves out what a token may not see. */
const hidden = Symbol("hidden");

/** A transaction that may not be made is answered like one whose conditions do not hold. */
const refusal = z.object({
  response: z.object({
    body: z.object({ Errors: z.array(z.object({ What: z.string() })) }),
  }),
});

function isDenied(error: unknown): boolean {
  if (error instanceof ConsulError) return error.status === 403;
  const { data } = refusal.safeParse(error);
  if (data?.response.body.Errors.some(({ What }) => /permission denied/i.test(What)) === true)
    return true;
  return error instanceof Error && "statusCode" in error && error.statusCode === 403;
}

async function readKey(consul: ConsulClient, key: string): Promise<void> {
  await consul.read({
    path: "/kv/{key}",
    params: { key },
    emptyWhenMissing: true,
    withinMs: answerWithinMs,
  });
}

async function openSession(consul: ConsulClient): Promise<void> {
  const { ID } = await consul.api.session.create({ ttl: "10s", lockdelay: "1s", ...deadline });
  await consul.api.session.destroy({ id: ID, ...deadline });
}

/** Registers no service: Consul checks the right to it, and then a condition that never holds. */
async function registerNever(consul: ConsulClient, name: string): Promise<void> {
  const service = { ID: "doctor", Service: name, ModifyIndex: impossibleIndex };
  await transact(consul, [{ Service: { Verb: "cas", Node: "doctor", Service: service } }]);
}

/** There is always a node, and the servers' own service. */
async function seesAny(consul: ConsulClient, path: string): Promise<symbol | null> {
  const { body } = await consul.read({ path, withinMs: answerWithinMs });
  const count = typeof body === "object" && body !== null ? Object.keys(body).length : 0;
  return count === 0 ? hidden : null;
}

const dateHeader = z.string().transform((text) => Date.parse(text));

/** Compares this machine's clock with Consul's, which is given in whole seconds. */
export async function checkClock(
  { baseUrl, tls }: Pick<ConsulAddress, "baseUrl" | "tls">,
  now: () => number,
): Promise<Finding> {
  const url = new URL(baseUrl);
  url.pathname = `${url.pathname.replace(/\/$/, "")}/v1/status/leader`;
  const startMs = now();
  const sent = await dateAt(url, tls).catch(() => null);
  const theirs = dateHeader.safeParse(sent).data ?? Number.NaN;
  if (Number.isNaN(theirs)) return ok("clock", "Consul does not say what time it is");
  const middleMs = (startMs + now()) / 2;
  const skew = Math.round((middleMs - theirs) / 1000);
  if (Math.abs(skew) <= mostSkewSeconds) return ok("clock", "agrees with Consul's");
  const which = skew > 0 ? "ahead of" : "behind";
  return warning(
    "clock",
    `this machine's clock is ${Math.abs(skew)} s ${which} Consul's`,
    "set both with NTP (timedatectl set-ntp true): schedules, rollouts and certificates go by it",
  );
}

/** The answer's `Date`; `null`: it has none. */
function dateAt(url: URL, tls: ConsulAddress["tls"]): Promise<string | null> {
  const { promise, resolve, reject } = Promise.withResolvers<string | null>();
  const options = { agent: false, signal: AbortSignal.timeout(answerWithinMs) } as const;
  const request =
    url.protocol === "https:" ? https.get(url, { ...options, ...tls }) : http.get(url, options);
  request.once("response", (response) => {
    resolve(response.headers.date ?? null);
    response.destroy();
  });
  request.once("error", reject);
  return promise;
}
