/**
 * The fields in an upstream document about health: active checks, outliers and slow starts, in Slardar's words too.
 */
import * as z from "zod";
import { isHost } from "../engine/message/authority.ts";
import { appendFields } from "../engine/message/http2-fields.ts";
import {
  type CheckType,
  checkTypes,
  type HealthCheck,
  type HttpCheck,
  type IgnoredField,
  type OutlierOptions,
  type UpstreamDocument,
} from "../model/index.ts";
import { percent, seconds, someSeconds, toMs } from "./amounts.ts";

const inARow = z.int().min(1).max(100);

const statusRange = z.union(
  [
    z.int().min(100).max(599),
    z.string().regex(/^[1-5](?:xx|\d\d(?:-[1-5]\d\d)?)$/, { error: "is not a status" }),
  ],
  { error: "is not a status, 2xx or 200-399" },
);

/** Each character is a byte: U+0000 to U+00FF. */
const datagramBytes = z
  .string()
  .max(1_200)
  .refine((text) => Buffer.from(text, "latin1").toString("latin1") === text, {
    error: "has a character that is no byte: \\u0000 to \\u00ff",
  });

const check = z.strictObject({
  type: z
    .enum(checkTypes)
    .default("general")
    .describe(
      "general: a connection is enough. http, redis (PING), mysql (its greeting), grpc (its health), udp (a datagram). Over TLS where the servers are.",
    ),
  interval: someSeconds.default(5).describe("Seconds between two checks of a server. Default 5."),
  timeout: someSeconds.default(1).describe("Seconds for a whole check. Default 1."),
  rise: inARow.default(2).describe("Good checks in a row that bring a server back. Default 2."),
  fall: inARow.default(3).describe("Failed checks in a row that take it out. Default 3."),
  method: z.enum(["GET", "HEAD", "OPTIONS"]).optional().describe("For http. Default GET."),
  path: z
    .string()
    .regex(/^\/[\x21-\x7e]{0,2047}$/, { error: "is not a path" })
    .optional()
    .describe("For http: the path with its query. Default /."),
  host: z
    .string()
    .max(260)
    .refine((host) => isHost(host.replace(/:\d{1,5}$/, "")), { error: "is not a host" })
    .optional()
    .describe("For http. Default: the upstream's name."),
  statuses: z
    .array(statusRange)
    .min(1)
    .max(50)
    .optional()
    .describe("For http: statuses of good answers, such as 204, 2xx or 200-399. Default 200-399."),
  service: z
    .string()
    .regex(/^[A-Za-z0-9_./-]{1,127}$/, { error: "is not a service's name" })
    .optional()
    .describe("For grpc: the service to ask about. Default: the server as a whole."),
  body: z
    .string()
    .min(1)
    .max(1_000)
    .optional()
    .describe("For http: a text that the first 64 KiB of the body must contain."),
  send: datagramBytes
    .optional()
    .describe("For udp: the datagram, a character for each byte. Default: an empty one."),
  expect: datagramBytes
    .optional()
    .describe(
      "For udp: what a datagram that answers must contain. Left out: the server need not answer, and fails only where nobody listens.",
    ),
});

/** Only methods that change nothing are allowed for checks. */
const checkQuery = z
  .string()
  .max(8_192)
  .regex(/^(?:GET|HEAD|OPTIONS) \/[\x21-\x7e]* HTTP\/1\.[01]\r\n(?:[\x20-\x7e\t]+\r\n)*\r\n$/, {
    error: "is not the head of a GET, HEAD or OPTIONS request, up to its empty line",
  });

const httpOptions = z.strictObject({
  query: checkQuery
    .optional()
    .describe("The request, up to its empty line. Default: none is sent."),
  statuses: z
    .record(z.string().regex(/^[1-5]\d\d$/, { error: "is not a status" }), z.boolean())
    .optional()
    .describe(
      "false: an answer with that status is a failed check. Without next_upstream, an answer to a request counts as a failure too, and another server is asked.",
    ),
});

const outliers = z.strictObject({
  consecutive_failures: z
    .int()
    .min(0)
    .max(1_000_000)
    .default(5)
    .describe(
      "So many errors in a row take a server out; a status of 500 or above is one. 0: never.",
    ),
  success_rate_drop: percent
    .default(20)
    .describe(
      "By how many per cent its success rate may be below the others'. 100: by any amount.",
    ),
  min_requests: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(20)
    .describe("With fewer requests in an interval, in one worker, a server's rate is ignored."),
  interval: someSeconds.default(1).describe("Seconds over which success rates are counted."),
  ejection_time: someSeconds
    .default(10)
    .describe("Seconds that it is out. The second time in a row takes twice as long, and so on."),
  max_ejection_time: someSeconds.default(300).describe("Most seconds that it is out."),
  max_ejected: percent
    .default(50)
    .describe(
      "Per cent of the servers that may be out for this. One always may, but never the last.",
    ),
});

/** These fields stand beside the others in the schema for upstream documents. */
export const healthFields = {
  check: check
    .optional()
    .describe("How each server is checked. Left out: servers are not checked."),
  outliers: outliers
    .optional()
    .describe("When a server is taken out because it does worse than the others. Left out: never."),
  slow_start: seconds
    .optional()
    .describe("Seconds in which a server's share grows after it is new or well again. Default 0."),
  protected: z
    .boolean()
    .optional()
    .describe(
      "Default true: all servers are tried when none is well. false: requests are refused.",
    ),
  enable: z.boolean().optional().describe("Slardar's: whether servers are checked."),
  typ: z
    .string()
    .optional()
    .describe("Slardar's word for the type of check. With it, timeout also applies to checks."),
  http_opts: httpOptions.optional().describe("Slardar's: for the type http."),
  sensibility: inARow.optional().describe("Slardar's word for fall. Default 1."),
  checkup_timer_interval: someSeconds
    .optional()
    .describe("Slardar's: someSeconds between two checks. Default 5."),
};

type Written = z.output<z.ZodObject<typeof healthFields>> & {
  readonly next_upstream?: readonly string[] | undefined;
  readonly timeout?: number | undefined;
  readonly service?: string | undefined;
  readonly protocol?: UpstreamDocument["protocol"] | undefined;
};

const slardarFields = ["typ", "http_opts", "sensibility", "checkup_timer_interval"] as const;

/** Reads what the document says about checks. `name`: the upstream's name. */
export function readCheck(
  document: Written,
  name: string,
  problems: string[],
): { readonly check?: HealthCheck; readonly ignored: readonly IgnoredField[] } {
  const { check: own, service } = document;
  const given = slardarFields.filter((field) => document[field] !== undefined);
  if (own !== undefined && service !== undefined)
    problems.push("check: services have Consul's checks; it goes with servers and cluster");
  if (own !== undefined && given.length > 0) problems.push(`has both check and ${given[0]}`);
  // What requests go by has an effect without checks, too.
  const ofRequests: readonly string[] =
    badStatuses(document).length > 0 ? ["typ", "http_opts"] : [];
  const because = (why: string) =>
    given
      .filter((field) => !ofRequests.includes(field))
      .map((field): IgnoredField => ({ field, why }));
  if (service !== undefined) {
    const ignored = because("has no effect: services have Consul's checks");
    return { ignored: document.enable === undefined ? ignored : [...ignored, enableOfService] };
  }
  if (document.enable === false) return { ignored: because("has no effect: enable is false") };
  const finish = (found: HealthCheck) => forProtocol(found, document.protocol, name, problems);
  if (own !== undefined) return { check: finish(ownCheck(own, name, problems)), ignored: [] };
  const { typ, http_opts, enable } = document;
  if (typ === undefined && http_opts === undefined && enable === undefined)
    return { ignored: because("has no effect: typ, enable or check asks for checks") };
  const known = slardarTypes.find((one) => one === typ);
  const type = known ?? (typ === undefined && http_opts !== undefined ? "http" : "general");
  const ignored: IgnoredField[] = [];
  if (typ !== undefined && known === undefined)
    ignored.push({ field: "typ", why: `is not one of ${slardarTypes.join(", ")}: general holds` });
  if (http_opts !== undefined && type !== "http")
    ignored.push({ field: "http_opts", why: `has no effect: the type is ${type}` });
  return { check: finish(slardarCheck(document, type)), ignored };
}

/** Servers of HTTP/2 are asked in HTTP/2. */
function forProtocol(
  check: HealthCheck,
  protocol: UpstreamDocument["protocol"] | undefined,
  name: string,
  problems: string[],
): HealthCheck {
  if (check.http === null || protocol === undefined || protocol === "http1") return check;
  const [, method = "", path = "", lines = ""] = requestParts.exec(check.http.request) ?? [];
  if (!fieldLines.test(lines)) {
    problems.push("http_opts.query: has a line that is no header field, which HTTP/2 cannot send");
    return check;
  }
  const fields: string[] = [];
  appendFields(fields, lines);
  const at = fields.indexOf("host");
  const [, host = name] = at === -1 ? [] : fields.splice(at, 2);
  const scheme = protocol === "h2" ? "https" : "http";
  const first = [":method", method, ":scheme", scheme, ":authority", host, ":path", path];
  return { ...check, http: { ...check.http, http2: [...first, ...fields] } };
}

const requestParts = /^(\S+) (\S+) [^\r]+\r\n(.*)\r\n$/s;
const fieldLines = /^(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\x20-\x7e\t]*\r\n)*$/;

/** A datagram needs fields that only `check` has. */
const slardarTypes = checkTypes.filter((type) => type !== "udp");

const enableOfService: IgnoredField = {
  field: "enable",
  why: "has no effect: services have Consul's checks",
};

function ownCheck(own: z.output<typeof check>, name: string, problems: string[]): HealthCheck {
  const { type, interval, timeout, rise, fall } = own;
  const ofHttp = ["method", "path", "host", "statuses", "body"] as const;
  const [misplaced] = ofHttp.filter((field) => own[field] !== undefined);
  if (type !== "http" && misplaced !== undefined)
    problems.push(`check.${misplaced}: goes with the type http`);
  if (type !== "grpc" && own.service !== undefined)
    problems.push("check.service: goes with the type grpc");
  const ofUdp = (["send", "expect"] as const).filter((field) => own[field] !== undefined);
  if (type !== "udp" && ofUdp[0] !== undefined)
    problems.push(`check.${ofUdp[0]}: goes with the type udp`);
  if (own.method === "HEAD" && own.body !== undefined)
    problems.push("check.body: the answer to HEAD has none");
  return {
    type,
    ...{ intervalMs: toMs(interval), timeoutMs: toMs(timeout), rise, fall },
    http: type === "http" ? httpCheck(own, name) : null,
    ...(own.service === undefined ? {} : { service: own.service }),
    ...(type === "udp" ? { datagram: { send: own.send ?? "", expect: own.expect ?? null } } : {}),
  };
}

function httpCheck(own: z.output<typeof check>, name: string): HttpCheck {
  const { method = "GET", path = "/", host = name, statuses = ["200-399"], body = null } = own;
  const head = [
    `${method} ${path} HTTP/1.1`,
    `Host: ${host}`,
    "User-Agent: sluice-check",
    "Accept: */*",
    "Connection: close",
  ];
  return { request: `${head.join("\r\n")}\r\n\r\n`, statuses: statuses.map(rangeOf), body };
}

/** In Slardar, a status counts as good unless it is named as bad. */
function slardarCheck(document: Written, type: CheckType): HealthCheck {
  const { http_opts: options, sensibility: fall = 1, timeout = 5 } = document;
  const bad = new Set(statusesNamedBad(options));
  const request = type === "http" ? options?.query : undefined;
  return {
    type,
    intervalMs: toMs(document.checkup_timer_interval ?? 5),
    timeoutMs: toMs(timeout || 5),
    rise: 1,
    fall,
    http: request === undefined ? null : { request, statuses: allBut(bad), body: null },
  };
}

function statusesNamedBad(options: Written["http_opts"]): readonly number[] {
  return Object.entries(options?.statuses ?? {}).flatMap(([status, isGood]) =>
    isGood ? [] : [Number(status)],
  );
}

/** The statuses of answers that fail a request, in Slardar's words. `next_upstream` outranks them. */
export function badStatuses(document: Written): readonly number[] {
  if (document.typ !== "http" || document.next_upstream !== undefined) return [];
  return statusesNamedBad(document.http_opts);
}

function allBut(bad: ReadonlySet<number>): readonly (readonly [number, number])[] {
  const ranges: [number, number][] = [];
  for (let status = 100; status <= 599; status += 1) {
    const last = ranges.at(-1);
    if (bad.has(status)) continue;
    if (last?.[1] === status - 1) last[1] = status;
    else ranges.push([status, status]);
  }
  return ranges;
}

function rangeOf(written: number | string): readonly [number, number] {
  if (typeof written === "number") return [written, written];
  if (written.endsWith("xx")) return [Number(written[0]) * 100, Number(written[0]) * 100 + 99];
  const [from, to = from] = written.split("-").map(Number);
  return [from ?? 0, to ?? 0];
}

export function readOutliers(document: Written): { readonly outliers?: OutlierOptions } {
  const written = document.outliers;
  if (written === undefined) return {};
  return {
    outliers: {
      consecutiveFailures: written.consecutive_failures,
      successRateDrop: written.success_rate_drop / 100,
      minRequests: written.min_requests,
      intervalMs: toMs(written.interval),
      ejectionMs: toMs(written.ejection_time),
      maxEjectionMs: toMs(written.max_ejection_time),
      maxEjected: written.max_ejected / 100,
    },
  };
}
