/** Where the requests for a host go and on what terms, as plain data: paths, routes, shares. */
import type { HashBy, HostDocument, PluginUse, Transport } from "./documents.ts";

/** What a value must be. */
export type TextTest =
  | { readonly is: readonly string[] }
  | { readonly prefix: string }
  | { readonly suffix: string }
  | { readonly contains: string }
  /** Whether there must be a value at all. */
  | { readonly present: boolean };

/** A test for one header, cookie or query parameter. Texts are latin1, one character for each byte in the request. */
export interface ValueCondition {
  readonly in: "header" | "cookie" | "query";
  /** In lower case for a header. */
  readonly name: string;
  readonly test: TextTest;
  /** Set when the test must fail. */
  readonly negated?: true;
}

/** What a request must have. All of it must be met; what is left out does not matter. */
export interface Conditions {
  readonly methods?: readonly string[];
  readonly values?: readonly ValueCondition[];
  /** Addresses or CIDR blocks that clients must be in. */
  readonly clients?: readonly string[];
}

export interface PathTest {
  /** Like `PathRule.prefix`. */
  readonly prefix: string;
  /** Set when only that path itself matches. */
  readonly exact?: true;
}

/** A subset of a service's instances: those with the tag and with all of these metadata. */
export interface Subset {
  readonly tag?: string;
  readonly meta?: Readonly<Record<string, string>>;
}

/** A share that grows from `from` to its written weight. Times are milliseconds since the epoch. */
export type Ramp =
  /** It grows in a straight line or, with `steps`, in so many equal jumps, the last one at the end. */
  | {
      readonly from: number;
      readonly startMs: number;
      readonly endMs: number;
      readonly steps?: number;
    }
  /** It grows by so much at each of these times, which are in order. */
  | { readonly from: number; readonly by: number; readonly atMs: readonly number[] };

/** One upstream's share of a destination's requests. */
export interface Share {
  /** The name of an upstream document or, when there is none, a Consul service in a DNS form. */
  readonly upstream: string;
  /** From 0 to 1000, in proportion to the other shares. */
  readonly weight: number;
  /** The subset of the upstream's service; left out: all of it. */
  readonly subset?: Subset;
  /** How the service is reached where no upstream document says so. Left out: by HTTP/1.1 in clear. */
  readonly transport?: Transport;
  /** The name for the side in requests, tests and `explain`; left out: the upstream's name. */
  readonly name?: string;
  /** Requests that meet one of these go to this share, however small it is. */
  readonly forced?: readonly Conditions[];
  readonly ramp?: Ramp;
}

/** The attributes of a cookie (RFC 6265bis section 4.1). */
export interface StickyCookie {
  readonly name: string;
  readonly path: string;
  readonly httpOnly: boolean;
  readonly sameSite: "strict" | "lax" | "none";
  /** Left out: `Secure` when the request came by HTTPS. */
  readonly secure?: boolean;
  /** Left out: the cookie lives until the browser ends. */
  readonly maxAgeS?: number;
}

/** What one client's requests stay with. */
export interface Sticky {
  /** What identifies the client. */
  readonly by: { readonly cookie: StickyCookie } | { readonly hash: HashBy };
  /** `side`: they stay with a share of the split. `server`: they also stay with a server there. */
  readonly to: "side" | "server";
}

/** Which `Host` the upstream gets. Where it is left out: the client's. */
export type SentHost = "peer" | { readonly name: string };

export interface Destination {
  /** At least one. */
  readonly shares: readonly Share[];
  /** Run after the host's own plugins, in this order. Left out: none. */
  readonly plugins?: readonly PluginUse[];
  readonly sticky?: Sticky;
  readonly sentHost?: SentHost;
}

export interface PathRule extends Destination {
  /** Starts with `/`. Matches whole segments: `/api` matches `/api` and `/api/x`, not `/apix`. */
  readonly prefix: string;
}

/** Requests that match go where this rule says, before any path rule is looked at. */
export interface RouteRule extends Destination {
  readonly name: string;
  /** One of them has to match; when empty, any path does. */
  readonly paths: readonly PathTest[];
  readonly conditions: Conditions;
}

/** The key of the entry of kind `key` with which the cookies for `Sticky` are made. */
export const stickyKeyName = "sticky";

/** Whether the document needs that key. */
export function needsStickyKey(document: Pick<HostDocument, "routes" | "paths">): boolean {
  for (const [, { sticky }] of destinationsOf(document))
    if (sticky !== undefined && "cookie" in sticky.by) return true;
  return false;
}

/** All destinations in a document, each with its field's name. */
export function* destinationsOf({
  routes = [],
  paths,
}: Pick<HostDocument, "routes" | "paths">): Generator<readonly [field: string, to: Destination]> {
  for (const route of routes) yield [route.name, route];
  for (const rule of paths) yield [`paths[${JSON.stringify(rule.prefix)}]`, rule];
}
