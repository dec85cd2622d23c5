/** The documents in KV as the gateway uses them, checked and with their defaults filled in. */

import type { PeerTls } from "../engine/engine.ts";
import type { PathRule, RouteRule, SentHost } from "./destinations.ts";
import type { HealthCheck } from "./health-check.ts";

export interface Server {
  readonly host: string;
  readonly port: number;
  /** 1 to 1000. Default 1. */
  readonly weight: number;
  /** Failures within `failTimeoutMs` that take the server out; 0 never does. Default 1, as nginx. */
  readonly maxFails: number;
  /** Also how long it stays out. In the document in seconds (`fail_timeout`). Default 10 s. */
  readonly failTimeoutMs: number;
  /** Never picked. */
  readonly down?: true;
  /** How long its share grows when it is new or well again. In the document in seconds (`slow_start`). Default 0. */
  readonly slowStartMs?: number;
  /** Requests at once. Left out: no limit. */
  readonly maxConns?: number;
  /** Where it is; left out: nobody said. */
  readonly zone?: string;
}

/** How many requests may be sent once more. */
export interface RetryBudgetOptions {
  /** Of all requests of the last seconds, 0 to 1. */
  readonly share: number;
  /** As many always may. */
  readonly minPerSecond: number;
}

/** When an upstream is left alone for a while. */
export interface BreakerOptions {
  /** The part of the requests that has to fail, above 0 to 1. */
  readonly errorRate: number;
  /** Requests in an interval below which nothing is said of a rate. */
  readonly minRequests: number;
  readonly intervalMs: number;
  /** How long nobody is let through. */
  readonly openMs: number;
  /** Requests that are let through then, and have to go well. */
  readonly probes: number;
  /** What clients are told meanwhile. Left out: the gateway's own 503. */
  readonly answer?: BreakerAnswer;
}

export interface BreakerAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What stands in front of an upstream. */
export interface GateOptions {
  /** Requests at once; 0: no limit. */
  readonly maxRequests: number;
  /** Requests that may wait for one of them to end. */
  readonly queue: number;
  readonly queueTimeoutMs: number;
  readonly breaker: BreakerOptions | null;
}

/** Which servers are near to a gateway: those in its zone come first. */
export interface NearZone {
  readonly name: string;
  /** The part of them, 0 to 1, that must be available; with fewer all servers are picked. */
  readonly minAvailable: number;
}

/** Who is taken out because it does worse than the others of its upstream. */
export interface OutlierOptions {
  /** Errors in a row that take a server out; 0: none do. */
  readonly consecutiveFailures: number;
  /** By how much its success rate may be below that of the others, 0 to 1; 1: by any. */
  readonly successRateDrop: number;
  /** Requests in an interval below which nothing is said of a rate. */
  readonly minRequests: number;
  readonly intervalMs: number;
  /** The first time; the second in a row takes twice as long, and so on. */
  readonly ejectionMs: number;
  readonly maxEjectionMs: number;
  /** The part of the servers that may be out because of this, 0 to 1; one always may. */
  readonly maxEjected: number;
}

/** A level of servers; a later level is used when no server of the earlier ones is available. */
export interface Level {
  readonly servers: readonly Server[];
}

/** How peers are picked; docs/balancing.md says what each does. */
export const policyNames = ["wrr", "least_conn", "p2c", "ewma", "hash", "random"] as const;
export type PolicyName = (typeof policyNames)[number];

/** What servers of an upstream may speak; `h2c` is HTTP/2 in clear with prior knowledge. */
export const upstreamProtocols = ["http1", "h2c", "h2"] as const;
export type UpstreamProtocol = (typeof upstreamProtocols)[number];

/** What a request stays with at its peer. */
export type HashBy =
  | "uri"
  | "path"
  | "client"
  | "host"
  /** In lower case. */
  | { readonly header: string }
  | { readonly cookie: string }
  /** From 1 on. */
  | { readonly pathSegment: number };

export interface UpstreamDocument {
  /** Fixed servers; empty when `service` is given. */
  readonly levels: readonly Level[];
  /** A Consul service in one of the DNS forms; `null` when servers are given. */
  readonly service: string | null;
  /** Datacenters whose instances are used, in this order, while `service` has none that can be. Left out: none. */
  readonly failover?: readonly string[];
  /** Health defaults for the instances of `service`. */
  readonly maxFails: number;
  readonly failTimeoutMs: number;
  /** Tries per request, the first included; `null`: the engine's default. */
  readonly tries: number | null;
  /** Default `wrr`. */
  readonly policy?: PolicyName;
  /** With the policy `hash`. */
  readonly hashBy?: HashBy;
  /** Left out: the engine's. In the document in seconds. */
  readonly timeouts?: UpstreamTimeouts;
  /** What its servers speak. Left out: HTTP/1.1. */
  readonly protocol?: UpstreamProtocol;
  /** Left out: its servers are reached in clear. */
  readonly tls?: PeerTls;
  /** Which `Host` its servers are sent. Left out: the request's. */
  readonly sentHost?: SentHost;
  /** After what, besides errors and timeouts, another server is asked. Left out: after nothing else. */
  readonly retries?: UpstreamRetries;
  /** Left out: its servers are not checked. Services have Consul's checks. */
  readonly check?: HealthCheck;
  /** False: when no server is well, requests are refused. Default true: then all are tried. */
  readonly isProtected?: false;
  /** Left out: nobody is compared with the others. */
  readonly outliers?: OutlierOptions;
  /** Of the instances of `service`, as of a server. */
  readonly slowStartMs?: number;
  readonly maxConns?: number;
  /** `null`: as many as `tries` says. Left out: a fifth of the requests. */
  readonly retryBudget?: RetryBudgetOptions | null;
  /** Left out: everybody is let through at once. */
  readonly gate?: GateOptions;
  /** What the document has and nothing comes of. */
  readonly ignored?: readonly IgnoredField[];
}

export interface UpstreamRetries {
  /** Whether a request whose method is not idempotent may be repeated. */
  readonly nonIdempotent: boolean;
  /** Statuses of answers that are dropped then. */
  readonly statuses: readonly number[];
}

/** Milliseconds; what is left out is as the engine has it. */
export interface UpstreamTimeouts {
  readonly connectTimeoutMs?: number;
  readonly sendTimeoutMs?: number;
  readonly readTimeoutMs?: number;
  readonly tryTimeoutMs?: number;
}

/** A field that was accepted and has no effect. */
export interface IgnoredField {
  /** As an operator would look for it: `cluster[0].try`. */
  readonly field: string;
  /** Why, as the end of a sentence that begins with the field. */
  readonly why: string;
}

/** A plugin with its options, which were checked and have their defaults. */
export interface PluginUse {
  readonly name: string;
  /** JSON. */
  readonly options: unknown;
}

/** Which certificate a host asks its clients for. */
export interface ClientCertificateRule {
  /** Whether it turns away clients without one. */
  readonly required: boolean;
  /** The name of the authorities, as in `certificates/<name>` or a file's. */
  readonly authorities: string;
}

/** The same text for hosts that ask their clients for the same; empty: for none. */
export function clientRuleId(rule: ClientCertificateRule | null): string {
  return rule === null ? "" : `${rule.required ? "required" : "optional"} ${rule.authorities}`;
}

/** What browsers keep of a host (RFC 6797). */
export interface HstsRule {
  readonly maxAgeSeconds: number;
  readonly includeSubdomains: boolean;
  readonly preload: boolean;
}

export interface HostDocument {
  /** Left out: clients are asked for none. */
  readonly clientCertificate?: ClientCertificateRule;
  /** Whether requests in clear are sent to the same place over TLS. */
  readonly redirectsToHttps?: true;
  /** Left out: answers say nothing of it. */
  readonly hsts?: HstsRule;
  /** What becomes of paths with `%2F`, `%5C` or a backslash. Default: refused where a path decides. */
  readonly encodedSlashes?: "refuse" | "pass";
  /** False: the host answers 404 as if the document were not there. Default true. */
  readonly enable: boolean;
  /** Longest prefix first. Empty where there are routes only. */
  readonly paths: readonly PathRule[];
  /** Asked before the paths, in this order; the first that matches decides. Not there: none. */
  readonly routes?: readonly RouteRule[];
  /** Run before the host's script, in this order; not there: none. */
  readonly pluginsBefore?: readonly PluginUse[];
  /** Run behind the host's script, in this order; not there: none. */
  readonly plugins?: readonly PluginUse[];
  /** Names, in lower case, of trailer fields of requests that are passed on; not there: none. */
  readonly trailers?: readonly string[];
  /** What it says of itself. Read before it goes live; what is served has none. */
  readonly tests?: readonly RouteTest[];
  /** After what, besides errors and timeouts, another server is asked. Left out: after nothing else. */
  readonly retries?: UpstreamRetries;
  /** What the document has and nothing comes of. */
  readonly ignored?: readonly IgnoredField[];
}

/** A request, and what the document alone must make of it. */
export interface RouteTest {
  /** As it is told when it fails. */
  readonly name: string;
  readonly method: string;
  /** Path and query, as a client would write them. */
  readonly target: string;
  /** By their names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly clientAddress: string;
  readonly expect: RouteOutcome;
}

/** What becomes of a request by a host document alone. */
export type RouteOutcome =
  /** All such requests go to this one. */
  | { readonly upstream: string }
  /** The sides that share them, with their shares. */
  | { readonly split: Readonly<Record<string, number>> }
  /** They are refused. In what a test expects, the code may be left out. */
  | { readonly status: number; readonly code?: string };
