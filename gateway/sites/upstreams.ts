/**
 * The upstreams of one version by the names that requests come by: of documents and of services, and who exposes which
 * service. Knows no path.
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
  /** By `serviceKey`: what was found out so far. */
  readonly reaches: Map<string, Reach>;
}

export class Upstreams {
  readonly tables: Tables;
  readonly names: SiteNames;
  readonly documents: Documents;
  readonly services: Services;
  /** By `serviceKey`; made when a service is first asked for by its name. */
  readonly reaches: Map<string, Reach>;

  constructor({ tables, names, documents, services, reaches }: UpstreamsParts) {
    this.tables = tables;
    this.names = names;
    this.documents = documents;
    this.services = services;
    this.reaches = reaches;
  }

  /** Of a host without rules: its document, else its service if the listener exposes that. */
  ofHost(host: string, service: ServiceSite | null, exposes: Exposure): Upstream | null {
    if (service === null) return this.documents.get(host)?.upstream ?? null;
    const documented = this.documents.ofSite(service.site);
    if (documented !== undefined) return this.narrowed(documented, service);
    return this.isExposed(service, exposes) ? this.find(service, service.tag) : null;
  }

  /**
   * The upstream document or service that a script names; `null` when there is none, or none yet. Consul's
   * own service is none, since a script may have the name from its client.
   */
  named(name: string): Upstream | null {
    const documented = this.documents.get(name);
    if (documented !== undefined) return documented.upstream;
    const service = this.steerable(name);
    return service === null ? null : this.find(service, service.tag);
  }

  /** What a side of a host document names; all of it is narrowed to the tag of the host when it is the host's own service. */
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

  /** An upstream document's, narrowed to the tag of the host when it is the host's own service. */
  narrowed({ query, service, upstream }: Documented, { tag, key }: ServiceSite): Upstream | null {
    if (tag === null || service === null || query === null) return upstream;
    if (query.key !== key || query.tag !== null) return upstream;
    return taggedOf(service, tag, this.tables.catalog.get(key));
  }

  find({ key }: ServiceSite, tag: string | null): Upstream | null {
    // Which tags the catalog has matters to names with one alone.
    return this.services.find(key, tag, tag === null ? undefined : this.tables.catalog.get(key));
  }

  isExposed(site: ServiceSite, exposes: Exposure): boolean {
    return exposes !== "documents" && isExposed(this.#reach(site), exposes);
  }

  /** Where the catalog has no tags, as for a service that has just left it, those of the instances count. */
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

  /** What a script may mean by `name` where no document has it. */
  steerable(name: string): ServiceSite | null {
    const service = this.names.find(name);
    return service === null || reachOf(service.name, []) === "never" ? null : service;
  }

  /** What a host document means by `name`. */
  queryOf(name: string): ServiceSite | null {
    const documented = this.documents.get(name);
    return documented === undefined ? this.names.find(name) : documented.query;
  }
}
