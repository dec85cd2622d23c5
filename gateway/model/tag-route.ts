/** What services say by their tags about requests for a path of a host, as plain data. */
import type { PluginUse } from "./documents.ts";

export interface TagRoute {
  /** A host in lower case, `*.domain`, or `*` for every host. */
  readonly host: string;
  /** Starts with `/`; also what is below it, by whole segments. */
  readonly prefix: string;
  /** The path alone, and nothing below it. */
  readonly isExact: boolean;
  /** Of the routes of a host that match the highest decides; left out: `defaultPriority`. */
  readonly priority: number | null;
  /** At least one; not all of them have a weight above 0. */
  readonly shares: readonly TagShare[];
  /** Run on its requests, in this order. */
  readonly plugins: readonly PluginUse[];
  /** Which `Host` the service is sent; `null`: the client's. */
  readonly sentHost: "peer" | { readonly name: string } | null;
}

/** A service's part of the requests of a route. */
export interface TagShare {
  /** Of the own datacenter. */
  readonly service: string;
  /** The tag that asks for it, as it is in Consul. */
  readonly tag: string;
  /** Only instances with this tag, in lower case; `null`: all of the service. */
  readonly subset: string | null;
  /** 0 and up, in proportion to the others. */
  readonly weight: number;
}

/** So that of routes for one host which say nothing else the longest decides; as long as Traefik's rule for it. */
export function defaultPriority({ host, prefix }: Pick<TagRoute, "host" | "prefix">): number {
  return `Host(\`${host}\`) && PathPrefix(\`${prefix}\`)`.length;
}
