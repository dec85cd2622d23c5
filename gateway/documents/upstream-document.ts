/** An upstream document, `upstreams/<name>`: fixed servers in Slardar's format, or a service. */
import { isIP } from "node:net";
import * as z from "zod";
import type { PeerTls } from "../engine/engine.ts";
import {
  entryName,
  type IgnoredField,
  parseServiceName,
  policyNames,
  type UpstreamDocument,
  type UpstreamRetries,
  type UpstreamTimeouts,
  upstreamProtocols,
} from "../model/index.ts";
import { seconds, toMs } from "./amounts.ts";
import { boundFields, readBounds } from "./bound-fields.ts";
import { checkDocument, listProblems, parseJson } from "./document.ts";
import { DocumentError } from "./document-error.ts";
import { hashBySchema, readHashBy } from "./hash-by.ts";
import { badStatuses, healthFields, readCheck, readOutliers } from "./health-fields.ts";
import { readSentHost, sentHostSchema } from "./sent-host.ts";
import {
  isServerHost,
  maxFails,
  readLevels,
  readNumber,
  serverFields,
  tries,
  withoutEffect,
} from "./server-fields.ts";

/** Statuses after which another server may be asked, named as in nginx's `proxy_next_upstream`. */
const retriedStatuses = [
  "http_500",
  "http_502",
  "http_503",
  "http_504",
  "http_403",
  "http_404",
  "http_429",
] as const;
const plainTls: PeerTls = {
  serverName: null,
  authorities: null,
  certificate: null,
  isInsecure: false,
};

const certificateName = z.string().regex(entryName, { error: "is not a certificate's name" });

const tlsSchema = z
  .union(
    [
      z.boolean(),
      z.strictObject({
        server_name: z
          .string()
          .max(253)
          .refine((name) => isServerHost(name) && isIP(name) === 0, { error: "is not a name" })
          .optional()
          .describe("Sent as SNI; the certificate must be for this name. Default: server.host."),
        ca: certificateName
          .optional()
          .describe("The authorities: certificates/<name> or a file. Default: public ones."),
        client_certificate: certificateName
          .optional()
          .describe("The certificate that the gateway shows: certificates/<name> or a file."),
        insecure: z
          .boolean()
          .default(false)
          .describe("True: any certificate is accepted, for any name."),
      }),
    ],
    { error: "is not true or an object with server_name, ca, client_certificate, insecure" },
  )
  .describe("How the servers are reached over TLS. Default: in clear.");

/** The JSON of an upstream document; the published JSON Schema is made from it. */
export const upstreamSchema = z
  .strictObject({
    ...healthFields,
    ...boundFields,
    ...serverFields,
    service: z
      .string()
      .refine((name) => parseServiceName(name) !== null, {
        error: (issue) =>
          `${JSON.stringify(issue.input)} is not a service: thumb, [tag.]thumb.service[.dc].consul`,
      })
      .optional()
      .describe("A Consul service in one of the forms of Consul's DNS."),
    failover: z
      .array(
        z.string().regex(/^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$/, {
          error: "is not a datacenter's name",
        }),
      )
      .min(1)
      .max(10)
      .optional()
      .describe(
        "With service: datacenters whose instances replace its own, in this order, while none of those can be used.",
      ),
    max_fails: maxFails.default(1).describe("With service: max_fails of each instance."),
    fail_timeout: seconds.default(10).describe("With service: fail_timeout of each instance."),
    try: tries.optional().describe("Tries per request, the first included."),
    try_timeout: seconds
      .optional()
      .describe("Seconds after the first try in which another may begin; 0: no limit."),
    timeout: seconds
      .optional()
      .describe(
        "Seconds: connect_timeout, send_timeout and read_timeout, where these are not given.",
      ),
    connect_timeout: seconds.optional().describe("Seconds to connect to a server."),
    send_timeout: seconds
      .optional()
      .describe("Seconds in which a server may take no byte of the request's body."),
    read_timeout: seconds
      .optional()
      .describe("Seconds of silence before the head of the answer, and in its body."),
    next_upstream: z
      .array(z.enum(["error", "timeout", ...retriedStatuses, "non_idempotent"]))
      .optional()
      .describe(
        "When another server is asked, in nginx's words. error and timeout are always on; http_503 and the like drop an answer with that status; non_idempotent repeats POST and PATCH too.",
      ),
    protocol: z
      .enum(upstreamProtocols)
      .optional()
      .describe(
        "What the servers speak: http1 (default), h2c, HTTP/2 in clear with prior knowledge, as gRPC does, or h2, HTTP/2 over TLS.",
      ),
    tls: tlsSchema.optional(),
    host: sentHostSchema.optional(),
    policy: z
      .enum(policyNames)
      .optional()
      .describe("How a server is picked. Default wrr: in turn, by weight."),
    hash_by: hashBySchema
      .optional()
      .describe("With the policy hash: the part of a request that picks its server. Default uri."),
    mode: z
      .enum(["hash", "url_hash", "ip_hash"])
      .optional()
      .describe(
        "Slardar's word for policy hash, by path (hash and url_hash) or by client (ip_hash).",
      ),
    heartbeat: z.unknown().optional().describe(withoutEffect),
    ups_max_fails: maxFails.optional().describe(withoutEffect),
    max_acc_fails: maxFails.optional().describe(withoutEffect),
    acc_timeout: seconds.optional().describe(withoutEffect),
    keepalive: z.unknown().optional().describe(withoutEffect),
    keepalive_size: z.unknown().optional().describe(withoutEffect),
    keepalive_timeout: z.unknown().optional().describe(withoutEffect),
  })
  .describe("An upstream: fixed servers in Slardar's format, or a Consul service.");

/** Reads the text of `upstreams/<name>`; `key` is the whole key and is named in errors. Throws a `DocumentError`. */
export function parseUpstreamDocument(key: string, text: string): UpstreamDocument {
  const raw = parseJson(key, text);
  const document = checkDocument(key, raw, upstreamSchema);
  const problems: string[] = [];
  const given = (["servers", "cluster", "service"] as const).filter((name) => name in document);
  if (given.length === 0) problems.push("has none of servers, cluster, service");
  if (given.length > 1)
    problems.push(`has ${given.join(" and ")}; only one of servers, cluster, service can be`);
  if (document.failover !== undefined && document.service === undefined)
    problems.push("failover: goes with service; servers have levels (cluster)");
  const levels = readLevels(document, problems);
  const tries = document.try === undefined ? null : readNumber("try", document.try, 100, problems);
  const choice = readChoice(document, problems);
  const { check, ignored: ignoredOfHealth } = readCheck(document, nameIn(key), problems);
  const tls = readTls(document, problems);
  if (tls !== null && check?.type === "udp")
    problems.push("check.type: udp is asked in clear, and these servers are reached over TLS");
  const limitsServers =
    document.max_conns !== undefined ||
    levels.some(({ servers }) => servers.some(({ maxConns }) => maxConns !== undefined));
  const bounds = readBounds(document, limitsServers, problems);
  if (problems.length > 0) throw new DocumentError("bad_document", key, listProblems(problems));
  const timeouts = readTimeouts(document);
  const ignored = [...findIgnored(document, raw), ...ignoredOfHealth];
  const sentHost = readSentHost(document.host);
  const retries = readRetries(document);
  return {
    levels,
    service: document.service ?? null,
    ...(document.failover === undefined ? {} : { failover: document.failover }),
    maxFails: document.max_fails,
    failTimeoutMs: toMs(document.fail_timeout),
    tries,
    ...choice,
    ...(document.protocol === undefined ? {} : { protocol: document.protocol }),
    ...(tls === null ? {} : { tls }),
    ...(check === undefined ? {} : { check: tls === null ? check : { ...check, tls } }),
    ...(document.protected === false ? { isProtected: false as const } : {}),
    ...readOutliers(document),
    ...(document.slow_start === undefined ? {} : { slowStartMs: toMs(document.slow_start) }),
    ...(document.max_conns === undefined ? {} : { maxConns: document.max_conns }),
    ...bounds,
    ...(Object.keys(timeouts).length === 0 ? {} : { timeouts }),
    ...(sentHost === null ? {} : { sentHost }),
    ...(retries === null ? {} : { retries }),
    ...(ignored.length === 0 ? {} : { ignored }),
  };
}

type Written = z.output<typeof upstreamSchema>;

/** The protocol `h2` alone also asks for TLS. */
function readTls({ tls, protocol }: Written, problems: string[]): PeerTls | null {
  if (tls === undefined || tls === false) {
    if (tls === false && protocol === "h2") problems.push("tls: the protocol h2 is over TLS");
    return protocol === "h2" ? plainTls : null;
  }
  if (protocol === "h2c") problems.push("tls: the protocol h2c is in clear; h2 is over TLS");
  if (tls === true) return plainTls;
  if (tls.insecure && tls.ca !== undefined)
    problems.push("tls: insecure believes anybody, and ca says whom to believe");
  return {
    serverName: tls.server_name ?? null,
    authorities: tls.ca ?? null,
    certificate: tls.client_certificate ?? null,
    isInsecure: tls.insecure,
  };
}

/** What decides without `hash_by`. Slardar's modes hash by nginx's `$uri`, which has no query. */
const defaultKeys = { uri: "uri", hash: "path", url_hash: "path", ip_hash: "client" } as const;

/** Reads the policy. Slardar's modes are policies here. */
function readChoice(
  { mode, policy, hash_by: by }: Written,
  problems: string[],
): Pick<UpstreamDocument, "policy" | "hashBy"> {
  if (mode !== undefined && policy !== undefined) problems.push("has both mode and policy");
  const chosen = mode === undefined ? policy : "hash";
  if (by !== undefined && chosen !== "hash") problems.push("hash_by: goes with the policy hash");
  if (chosen !== "hash") return chosen === undefined ? {} : { policy: chosen };
  if (by === undefined) return { policy: chosen, hashBy: defaultKeys[mode ?? "uri"] };
  return { policy: chosen, hashBy: readHashBy(by) };
}

/** Without `next_upstream`, what lua-resty-checkups calls an unsuccessful attempt is one. */
function readRetries(document: Written): UpstreamRetries | null {
  const words = document.next_upstream;
  if (words === undefined) {
    const statuses = badStatuses(document);
    return statuses.length === 0 ? null : { nonIdempotent: false, statuses };
  }
  const statuses = words.filter((word) => word.startsWith("http_"));
  return {
    nonIdempotent: words.includes("non_idempotent"),
    statuses: statuses.map((word) => Number(word.slice("http_".length))),
  };
}

function readTimeouts(document: Written): UpstreamTimeouts {
  const { timeout, try_timeout: tries } = document;
  const connect = document.connect_timeout || timeout;
  const send = document.send_timeout || timeout;
  const read = document.read_timeout || timeout;
  return {
    ...(connect ? { connectTimeoutMs: toMs(connect) } : {}),
    ...(send ? { sendTimeoutMs: toMs(send) } : {}),
    ...(read ? { readTimeoutMs: toMs(read) } : {}),
    ...(tries === undefined ? {} : { tryTimeoutMs: toMs(tries) }),
  };
}

const aboutFailures = "has no counterpart: max_fails, fail_timeout and outliers take servers out";
const aboutPools = "is --max-idle-per-peer and --peer-idle-timeout here, for all upstreams alike";

/** Why each of these fields has no effect, whatever its value. */
const ignoredFields = {
  heartbeat: "is a function in Lua: check, or typ, says how servers are checked",
  ups_max_fails: aboutFailures,
  max_acc_fails: aboutFailures,
  acc_timeout: aboutFailures,
  keepalive: aboutPools,
  keepalive_size: aboutPools,
  keepalive_timeout: aboutPools,
} as const satisfies Partial<Record<keyof Written, string>>;

const timeoutFields = ["timeout", "connect_timeout", "send_timeout", "read_timeout"] as const;

/** `raw`: the document as written, without defaults. */
function findIgnored(document: Written, raw: unknown): readonly IgnoredField[] {
  const has = (field: string) =>
    typeof raw === "object" && raw !== null && Object.hasOwn(raw, field);
  const ignored: IgnoredField[] = [];
  for (const [field, why] of Object.entries(ignoredFields)) {
    if (has(field)) ignored.push({ field, why });
  }
  for (const field of timeoutFields) {
    if (document[field] === 0) ignored.push({ field, why: "is 0: the gateway's own time holds" });
  }
  for (const field of ["max_fails", "fail_timeout"]) {
    if (document.service === undefined && has(field))
      ignored.push({ field, why: "holds for the instances of a service; each server has its own" });
  }
  for (const [name, level] of Object.entries(document.cluster ?? {})) {
    const place = Array.isArray(document.cluster) ? name : JSON.stringify(name);
    for (const field of ["try", "try_timeout"] as const)
      if (level[field] !== undefined)
        ignored.push({
          field: `cluster[${place}].${field}`,
          why: "holds for the whole upstream only",
        });
    if (level.keepalive !== undefined)
      ignored.push({ field: `cluster[${place}].keepalive`, why: aboutPools });
  }
  return ignored;
}

/** The part of a key after its folder. */
function nameIn(key: string): string {
  return key.slice(key.lastIndexOf("/") + 1);
}
