/**
 * Finds the upstreams of one version by the names in requests, documents and scripts, and knows which listener
 * exposes which service. It does not look at paths.
 */
import type { Upstream } from "../balancing/index.ts";
import {
  type Exposure,
  isExposed,
  type Reach,
  reachOf,
  type ServiceSite,
  type SiteNames,
  type Tables,
} from "../model/index.ts";
import type { Documented, Documents } from "./documents.ts";
import { type Services, taggedOf } from "./services.ts";
import type { Side } from "./split.ts";

export interface UpstreamsParts {
  readonly tables: Tables;
  readonly names: SiteNames;
  readonly documents: Documents;
  readonly services: Services;
  /** The results of exposure checks so far, by `serviceKey`. */
  readonly reaches: Map<string, Reach>;
}

export class Upstreams {
  readonly tables: Tables;
  readonly names: SiteNames;
  readonly documents: Documents;
  readonly services: Services;
  /** By `serviceKey`; filled when a service is first asked for by its name. */
  readonly reaches: Map<string, Reach>;

  constructor({ tables, names, documents, services, reaches }: UpstreamsParts) {
    this.tables = tables;
    this.names = names;
    this.documents = documents;
    this.services = services;
    this.reaches = reaches;
  }

  /** For a host without rules: the upstream of its document, else of its service if the listener exposes it. */
  ofHost(host: string, service: ServiceSite | null, exposes: Exposure): Upstream | null {
    if (service === null) return this.documents.get(host)?.upstream ?? null;
    const documented = this.documents.ofSite(service.site);
    if (documented !== undefined) return this.narrowed(documented, service);
    return this.isExposed(service, exposes) ? this.find(service, service.tag) : null;
  }

  /**
   * The upstream of the document or service that a script names; `null` when there is none, or none yet. Consul's own
   * service is never returned, since a script may have got the name from its client.
   */
  named(name: string): Upstream | null {
    const documented = this.documents.get(name);
    if (documented !== undefined) return documented.upstream;
    const service = this.steerable(name);
    return service === null ? null : this.find(service, service.tag);
  }

  /**
   * The upstream that a side of a host document names. When it is all of the host's own service, it is narrowed to
   * the tag in the host's name.
   */
  side(
    { upstream: name, subset }: Pick<Side, "upstream" | "subset">,
    site: ServiceSite | null,
  ): Upstream | null {
    if (subset === null) return this.#whole(name, site);
    const documented = this.documents.get(name);
    if (documented !== undefined) return documented.service?.subset(subset) ?? null;
    const service = this.names.find(name);
    return service === null ? null : (this.services.get(service.key)?.subset(subset) ?? null);
  }

  #whole(name: string, site: ServiceSite | null): Upstream | null {
    const documented = this.documents.get(name);
    if (documented !== undefined)
      return site === null ? documented.upstream : this.narrowed(documented, site);
    const service = this.names.find(name);
    if (service === null) return null;
    const isOwn = site !== null && service.tag === null && service.key === site.key;
    return this.find(service, isOwn ? site.tag : service.tag);
  }

  /** A document's upstream, narrowed to the tag in the host's name when it is the host's own service. */
  narrowed({ query, service, upstream }: Documented, { tag, key }: ServiceSite): Upstream | null {
    if (tag === null || service === null || query === null) return upstream;
    if (query.key !== key || query.tag !== null) return upstream;
    return taggedOf(service, tag, this.tables.catalog.get(key));
  }

  find({ key }: ServiceSite, tag: string | null): Upstream | null {
    // Only names with a tag depend on the catalog's tags.
    return this.services.find(key, tag, tag === null ? undefined : this.tables.catalog.get(key));
  }

  isExposed(site: ServiceSite, exposes: Exposure): boolean {
    return exposes !== "documents" && isExposed(this.#reach(site), exposes);
  }

  /** When the catalog has no tags, as for a service that has just left it, the tags of the instances count. */
  #reach({ name, key }: ServiceSite): Reach {
    const known = this.reaches.get(key);
    if (known !== undefined) return known;
    const instances = this.services.instances(key);
    const tags = this.tables.catalog.get(key) ?? instances?.flatMap((one) => one.tags);
    if (tags === undefined) return reachOf(name, []);
    const reach = reachOf(name, tags);
    this.reaches.set(key, reach);
    return reach;
  }

  /** The service that a script means by `name` when no document has that name. */
  steerable(name: string): ServiceSite | null {
    const service = this.names.find(name);
    return service === null || reachOf(service.name, []) === "never" ? null : service;
  }

  /** The service that a host document means by `name`. */
  queryOf(name: string): ServiceSite | null {
    const documented = this.documents.get(name);
    return documented === undefined ? this.names.find(name) : documented.query;
  }
}
