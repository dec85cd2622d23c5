/** A route from a service's tags, for a path of a host, as plain data. */
import type { PluginUse, Transport } from "./documents.ts";

export interface TagRoute {
  /** A host in lower case, `*.domain`, or `*` for every host. */
  readonly host: string;
  /** Starts with `/`. Also covers what is below it, by whole segments. */
  readonly prefix: string;
  /** Whether it matches only the path itself and nothing below it. */
  readonly isExact: boolean;
  /** Of a host's routes that match, the one with the highest priority decides; `null`: `defaultPriority`. */
  readonly priority: number | null;
  /** At least one; not all of them have a weight above 0. */
  readonly shares: readonly TagShare[];
  /** Run on its requests, in this order. */
  readonly plugins: readonly PluginUse[];
  /** Which `Host` the service gets; `null`: the client's. */
  readonly sentHost: "peer" | { readonly name: string } | null;
}

/** A service's share of a route's requests. */
export interface TagShare {
  /** A service in the own datacenter. */
  readonly service: string;
  /** The tag that asks for the route, as it is in Consul. */
  readonly tag: string;
  /** Only instances with this tag, in lower case; `null`: all instances. */
  readonly subset: string | null;
  /** Left out: by HTTP/1.1 in clear. */
  readonly transport?: Transport;
  /** 0 or more, in proportion to the others. */
  readonly weight: number;
}

/**
 * Lets the longest path decide among one host's routes without a priority. It equals the length of Traefik's rule for
 * the route.
 */
export function defaultPriority({ host, prefix }: Pick<TagRoute, "host" | "prefix">): number {
  return `Host(\`${host}\`) && PathPrefix(\`${prefix}\`)`.length;
}
