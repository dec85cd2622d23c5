/** Where the requests of a host go and on what terms, as plain data: paths, routes, shares. */
import type { HashBy, HostDocument, PluginUse } from "./documents.ts";

/** What a value has to be. */
export type TextTest =
  | { readonly is: readonly string[] }
  | { readonly prefix: string }
  | { readonly suffix: string }
  | { readonly contains: string }
  /** Whether there is one at all. */
  | { readonly present: boolean };

/** A test of one header, cookie or query parameter. Texts are latin1, as the request has its bytes. */
export interface ValueCondition {
  readonly in: "header" | "cookie" | "query";
  /** Of a header in lower case. */
  readonly name: string;
  readonly test: TextTest;
  /** The test must fail. */
  readonly negated?: true;
}

/** What a request must have, all of it. Left out: anything will do. */
export interface Conditions {
  readonly methods?: readonly string[];
  readonly values?: readonly ValueCondition[];
  /** Addresses or CIDR blocks of clients. */
  readonly clients?: readonly string[];
}

export interface PathTest {
  /** As `PathRule.prefix`. */
  readonly prefix: string;
  /** That path alone. */
  readonly exact?: true;
}

/** Which instances of a service: those with the tag, and with each of these metadata. */
export interface Subset {
  readonly tag?: string;
  readonly meta?: Readonly<Record<string, string>>;
}

/** A share that grows from `from` to what is written. Times are milliseconds of the epoch. */
export type Ramp =
  /** In a straight line or, with `steps`, in so many equal jumps, the last one at the end. */
  | {
      readonly from: number;
      readonly startMs: number;
      readonly endMs: number;
      readonly steps?: number;
    }
  /** By so much at each of these times, which are in order. */
  | { readonly from: number; readonly by: number; readonly atMs: readonly number[] };

/** A share of the requests of a destination. */
export interface Share {
  /** The name of an upstream document or, when there is none, a Consul service in a DNS form. */
  readonly upstream: string;
  /** 0 to 1000; shares are in proportion. */
  readonly weight: number;
  /** Of the upstream's service; left out: all of it. */
  readonly subset?: Subset;
  /** What a request, a test and `explain` call it; left out: as the upstream. */
  readonly name?: string;
  /** Requests that meet one of these belong to this share, however small it is. */
  readonly forced?: readonly Conditions[];
  readonly ramp?: Ramp;
}

/** The attributes of a cookie (RFC 6265bis section 4.1). */
export interface StickyCookie {
  readonly name: string;
  readonly path: string;
  readonly httpOnly: boolean;
  readonly sameSite: "strict" | "lax" | "none";
  /** Left out: as the request came, by HTTPS or not. */
  readonly secure?: boolean;
  /** Left out: until the browser ends. */
  readonly maxAgeS?: number;
}

/** What a client's requests stay with. */
export interface Sticky {
  /** What tells that it is the same client. */
  readonly by: { readonly cookie: StickyCookie } | { readonly hash: HashBy };
  /** `side`: its share of the split; `server`: also the server that it was given there. */
  readonly to: "side" | "server";
}

/** Which `Host` the upstream is sent; left out elsewhere: the client's. */
export type SentHost = "peer" | { readonly name: string };

export interface Destination {
  /** At least one. */
  readonly shares: readonly Share[];
  /** Run after those of the host, in this order; not there: none. */
  readonly plugins?: readonly PluginUse[];
  readonly sticky?: Sticky;
  readonly sentHost?: SentHost;
}

export interface PathRule extends Destination {
  /** Starts with `/`. Matches whole segments: `/api` matches `/api` and `/api/x`, not `/apix`. */
  readonly prefix: string;
}

/** Requests that match it go where it says, before any path is looked at. */
export interface RouteRule extends Destination {
  readonly name: string;
  /** One of them has to match; empty: any path does. */
  readonly paths: readonly PathTest[];
  readonly conditions: Conditions;
}

/** Under which the kind `key` has what the cookies of `Sticky` are made with. */
export const stickyKeyName = "sticky";

/** Whether such a key is needed. */
export function needsStickyKey(document: Pick<HostDocument, "routes" | "paths">): boolean {
  for (const [, { sticky }] of destinationsOf(document))
    if (sticky !== undefined && "cookie" in sticky.by) return true;
  return false;
}

/** All that a document sends requests to, each with its field. */
export function* destinationsOf({
  routes = [],
  paths,
}: Pick<HostDocument, "routes" | "paths">): Generator<readonly [field: string, to: Destination]> {
  for (const route of routes) yield [route.name, route];
  for (const rule of paths) yield [`paths[${JSON.stringify(rule.prefix)}]`, rule];
}
