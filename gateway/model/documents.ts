/** The documents in KV as the gateway uses them, checked and with their defaults filled in. */

import type { PeerTls } from "../engine/engine.ts";
import type { PathRule, RouteRule, SentHost } from "./destinations.ts";
import type { HealthCheck } from "./health-check.ts";

export interface Server {
  readonly host: string;
  readonly port: number;
  /** From 1 to 1000. Default 1. */
  readonly weight: number;
  /** So many failures within `failTimeoutMs` take the server out; 0 never does. Default 1, as in nginx. */
  readonly maxFails: number;
  /** Also how long the server stays out. In the document in seconds (`fail_timeout`). Default 10 s. */
  readonly failTimeoutMs: number;
  /** Set when the server is never picked. */
  readonly down?: true;
  /** How long its share grows after it is new or well again. In the document in seconds (`slow_start`). Default 0. */
  readonly slowStartMs?: number;
  /** Most requests at once. Left out: no limit. */
  readonly maxConns?: number;
  /** The server's zone; left out: unknown. */
  readonly zone?: string;
}

/** How many requests may be sent again. */
export interface RetryBudgetOptions {
  /** The share of all recent requests, from 0 to 1. */
  readonly share: number;
  /** So many requests per second always may. */
  readonly minPerSecond: number;
}

/** When an upstream gets no requests for a while. */
export interface BreakerOptions {
  /** The part of the requests that has to fail, above 0 and up to 1. */
  readonly errorRate: number;
  /** With fewer requests in an interval, the rate is ignored. */
  readonly minRequests: number;
  readonly intervalMs: number;
  /** How long it lets no request through. */
  readonly openMs: number;
  /** How many requests it then lets through, all of which have to go well. */
  readonly probes: number;
  /** The answer for clients in the meantime. Left out: the gateway's own 503. */
  readonly answer?: BreakerAnswer;
}

export interface BreakerAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The bounds in front of an upstream. */
export interface GateOptions {
  /** Most requests at once; 0: no limit. */
  readonly maxRequests: number;
  /** How many requests may wait for another one to end. */
  readonly queue: number;
  readonly queueTimeoutMs: number;
  readonly breaker: BreakerOptions | null;
}

/** The zone of a gateway: servers in it come first. */
export interface NearZone {
  readonly name: string;
  /** The part of the near servers, from 0 to 1, that must be available. With fewer, all servers are picked from. */
  readonly minAvailable: number;
}

/** When a server is taken out because it does worse than the others in its upstream. */
export interface OutlierOptions {
  /** So many errors in a row take a server out; 0: never. */
  readonly consecutiveFailures: number;
  /** By how much its success rate may be below the others', from 0 to 1; 1: by any amount. */
  readonly successRateDrop: number;
  /** With fewer requests in an interval, the rate is ignored. */
  readonly minRequests: number;
  readonly intervalMs: number;
  /** How long it is out the first time. The second time in a row takes twice as long, and so on. */
  readonly ejectionMs: number;
  readonly maxEjectionMs: number;
  /** The part of the servers that may be out for this reason, from 0 to 1. One always may. */
  readonly maxEjected: number;
}

/** A level of servers. A later level is used when no server in an earlier one is available. */
export interface Level {
  readonly servers: readonly Server[];
}

/** How peers are picked; docs/balancing.md says what each does. */
export const policyNames = ["wrr", "least_conn", "p2c", "ewma", "hash", "random"] as const;
export type PolicyName = (typeof policyNames)[number];

/** What an upstream's servers may speak; `h2c` is HTTP/2 in clear with prior knowledge. */
export const upstreamProtocols = ["http1", "h2c", "h2"] as const;
export type UpstreamProtocol = (typeof upstreamProtocols)[number];

/** What keeps a request with one peer. */
export type HashBy =
  | "uri"
  | "path"
  | "client"
  | "host"
  /** In lower case. */
  | { readonly header: string }
  | { readonly cookie: string }
  /** Counted from 1. */
  | { readonly pathSegment: number };

export interface UpstreamDocument {
  /** Fixed servers; empty when `service` is given. */
  readonly levels: readonly Level[];
  /** A Consul service in one of the DNS forms; `null` when servers are given. */
  readonly service: string | null;
  /**
   * Datacenters whose instances replace those of `service`, in this order, while none of those can be used. Left out:
   * none.
   */
  readonly failover?: readonly string[];
  /** Health defaults for the instances of `service`. */
  readonly maxFails: number;
  readonly failTimeoutMs: number;
  /** Tries per request, the first included; `null`: the engine's default. */
  readonly tries: number | null;
  /** Default `wrr`. */
  readonly policy?: PolicyName;
  /** Only with the policy `hash`. */
  readonly hashBy?: HashBy;
  /** Left out: the engine's own. In the document in seconds. */
  readonly timeouts?: UpstreamTimeouts;
  /** What its servers speak. Left out: HTTP/1.1. */
  readonly protocol?: UpstreamProtocol;
  /** Left out: its servers are reached in clear. */
  readonly tls?: PeerTls;
  /** Which `Host` its servers get. Left out: the request's. */
  readonly sentHost?: SentHost;
  /** After which answers another server is asked, besides errors and timeouts. Left out: after none. */
  readonly retries?: UpstreamRetries;
  /** Left out: the servers are not checked. Services have Consul's checks. */
  readonly check?: HealthCheck;
  /** Default true: all servers are tried when none is well. False: then requests are refused. */
  readonly isProtected?: false;
  /** Left out: outliers are not looked for. */
  readonly outliers?: OutlierOptions;
  /** For the instances of `service`, as for a server. */
  readonly slowStartMs?: number;
  readonly maxConns?: number;
  /** `null`: only `tries` bounds them. Left out: a fifth of the requests. */
  readonly retryBudget?: RetryBudgetOptions | null;
  /** Left out: nothing bounds the upstream. */
  readonly gate?: GateOptions;
  /** Fields in the document that have no effect. */
  readonly ignored?: readonly IgnoredField[];
}

export interface UpstreamRetries {
  /** Whether a request whose method is not idempotent may be repeated. */
  readonly nonIdempotent: boolean;
  /** Answers with these statuses are dropped then. */
  readonly statuses: readonly number[];
}

/** In milliseconds. What is left out is as in the engine. */
export interface UpstreamTimeouts {
  readonly connectTimeoutMs?: number;
  readonly sendTimeoutMs?: number;
  readonly readTimeoutMs?: number;
  readonly tryTimeoutMs?: number;
}

/** How servers are reached, as far as somebody says so. */
export type Transport = Pick<UpstreamDocument, "protocol" | "tls">;

/** A field that was accepted but has no effect. */
export interface IgnoredField {
  /** The field as an operator would look for it: `cluster[0].try`. */
  readonly field: string;
  /** The reason, as the end of a sentence that begins with the field. */
  readonly why: string;
}

/** A plugin with its options, which are checked and have their defaults. */
export interface PluginUse {
  readonly name: string;
  /** JSON. */
  readonly options: unknown;
}

/** The certificate that a host asks its clients for. */
export interface ClientCertificateRule {
  /** Whether the host turns away clients without one. */
  readonly required: boolean;
  /** The name of the authorities: in `certificates/<name>`, or a file's name. */
  readonly authorities: string;
}

/** Equal for hosts that ask their clients for the same; empty when `rule` is `null`. */
export function clientRuleId(rule: ClientCertificateRule | null): string {
  return rule === null ? "" : `${rule.required ? "required" : "optional"} ${rule.authorities}`;
}

/** What browsers remember about a host (RFC 6797). */
export interface HstsRule {
  readonly maxAgeSeconds: number;
  readonly includeSubdomains: boolean;
  readonly preload: boolean;
}

export interface HostDocument {
  /** Left out: clients are not asked for a certificate. */
  readonly clientCertificate?: ClientCertificateRule;
  /** Set when gateways order a certificate for this host by ACME. */
  readonly ordersCertificate?: true;
  /** Whether requests in clear are redirected to the same place over TLS. */
  readonly redirectsToHttps?: true;
  /** Left out: answers do not mention it. */
  readonly hsts?: HstsRule;
  /** What happens to paths with `%2F`, `%5C` or a backslash. Default: they are refused where a path decides. */
  readonly encodedSlashes?: "refuse" | "pass";
  /** False: the host answers 404 as if the document were not there. Default true. */
  readonly enable: boolean;
  /** Longest prefix first. Empty when there are only routes. */
  readonly paths: readonly PathRule[];
  /** Asked before the paths, in this order; the first that matches decides. Left out: none. */
  readonly routes?: readonly RouteRule[];
  /** Run before the host's script, in this order. Left out: none. */
  readonly pluginsBefore?: readonly PluginUse[];
  /** Run after the host's script, in this order. Left out: none. */
  readonly plugins?: readonly PluginUse[];
  /** Names, in lower case, of trailer fields in requests that are passed on. Left out: none. */
  readonly trailers?: readonly string[];
  /** The document's own tests. They run before it goes live; the served document has none. */
  readonly tests?: readonly RouteTest[];
  /** After which answers another server is asked, besides errors and timeouts. Left out: after none. */
  readonly retries?: UpstreamRetries;
  /** Fields in the document that have no effect. */
  readonly ignored?: readonly IgnoredField[];
}

/** A request, and what the document alone must decide for it. */
export interface RouteTest {
  /** The name that is shown when the test fails. */
  readonly name: string;
  readonly method: string;
  /** The path and query, as a client would write them. */
  readonly target: string;
  /** Keyed by names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly clientAddress: string;
  readonly expect: RouteOutcome;
}

/** What a host document alone decides for a request. */
export type RouteOutcome =
  /** All such requests go to this side. */
  | { readonly upstream: string }
  /** The sides that share such requests, with their weights. */
  | { readonly split: Readonly<Record<string, number>> }
  /** Such requests are refused. What a test expects may leave out the code. */
  | { readonly status: number; readonly code?: string };
