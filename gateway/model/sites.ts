/**
 * Which site a host is. Every spelling of a Consul service is the same site, so rules under one spelling apply to
 * all; any other host is a site of its own. This is the only place that knows it: routing, scripts, keys in KV and
 * commands ask here.
 */
import { maxNameLength } from "../engine/message/authority.ts";
import type { Tables } from "./change.ts";
import { type ServiceQuery, serviceKey } from "./entries.ts";
import { detached, RecentMap } from "./recent-map.ts";
import { parseServiceName } from "./service-name.ts";

/** A host that names a service. */
export interface ServiceSite extends ServiceQuery {
  /** The name for its rules: `shop`, or `shop.service.dc2.consul` for another datacenter's service. */
  readonly site: string;
  /** The name that `*.` wildcards are compared with: `[tag.]shop.service[.dc2].consul`. */
  readonly full: string;
  /** Its `serviceKey`. */
  readonly key: string;
}

/** How many parsed names are kept. The bound matters because strangers can ask for any name. */
const maxKnown = 4_096;

export class SiteNames {
  /** The datacenter of the Consul that the gateway asks; `null`: unknown, so no name is in it. */
  readonly ownDatacenter: string | null;
  readonly #known = new RecentMap<ServiceSite | null>(maxKnown);

  constructor(ownDatacenter: string | null) {
    this.ownDatacenter = ownDatacenter;
  }

  /**
   * The service that a host, in lower case, names; `null` for any other host, which is its own site. For an ordinary
   * host this costs a look at its end; for a service's name one look-up, and a few strings the first time.
   */
  find(host: string): ServiceSite | null {
    if (!host.endsWith(".consul") && host.includes(".")) return null;
    const known = this.#known.get(host);
    if (known !== undefined) return known;
    if (host.length > maxNameLength) return null;
    const name = detached(host);
    const site = readSite(name, this.ownDatacenter);
    this.#known.set(name, site);
    return site;
  }

  /**
   * The name of the site that a key in KV is about: a host's site, or a `*.domain` that leaves out the own
   * datacenter, as `full` does. A tag is dropped; `find` shows whether there was one.
   */
  nameOf(host: string): string {
    if (!host.startsWith("*.")) return this.find(host)?.site ?? host;
    const own = this.ownDatacenter;
    if (own === null) return host;
    if (host === `*.${own}.consul`) return "*.service.consul";
    const end = `.service.${own}.consul`;
    return host.endsWith(end) ? `${host.slice(0, -end.length)}.service.consul` : host;
  }

  /** Every host that is this site without a tag, the site's own name first. */
  spellingsOf(site: string): readonly string[] {
    const found = this.find(site);
    if (found === null || found.tag !== null) return [site];
    const { name, datacenter } = found;
    const named = datacenter ?? this.ownDatacenter;
    const spellings = [name, `_${name}._tcp`].flatMap((first) => [
      ...(datacenter === null ? [`${first}.service.consul`] : []),
      ...(named === null ? [] : [`${first}.service.${named}.consul`]),
    ]);
    return [...new Set([found.site, ...spellings])];
  }
}

/**
 * The keys of a service in these datacenters, each once and without the service's own key. These replace the service
 * while it has no instance that can be used.
 */
export function failoverKeys(
  service: ServiceSite,
  datacenters: readonly string[],
  ownDatacenter: string | null,
): readonly string[] {
  const { name, key } = service;
  const keys = datacenters.map((named) =>
    serviceKey({ name, datacenter: named === ownDatacenter ? null : named }),
  );
  return [...new Set(keys)].filter((one) => one !== key);
}

/** The datacenter of the Consul that the gateway asks; `null` while it is unknown. */
export function ownDatacenter({ datacenter }: Pick<Tables, "datacenter">): string | null {
  for (const [name, { own }] of datacenter) if (own) return name;
  return null;
}

function readSite(host: string, ownDatacenter: string | null): ServiceSite | null {
  const read = parseServiceName(host);
  // A wildcard stands for many names, so its star is not a tag.
  if (read === null || read.tag === "*") return null;
  const query = read.datacenter === ownDatacenter ? { ...read, datacenter: null } : read;
  const { name, tag, datacenter } = query;
  const dotted = `${name}.service.${datacenter === null ? "" : `${datacenter}.`}consul`;
  return {
    ...query,
    site: datacenter === null ? name : dotted,
    full: tag === null ? dotted : `${tag}.${dotted}`,
    key: serviceKey(query),
  };
}
