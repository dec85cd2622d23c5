/**
 * Why a request has no upstream in one version, and whether it may get one soon. Only asked when routing has failed.
 */
import type { Upstream } from "../balancing/index.ts";
import { type Exposure, reachOf, type ServiceSite } from "../model/index.ts";
import type { Documented } from "./documents.ts";
import type { RoutedRequest } from "./request-values.ts";
import type { Rule } from "./rule.ts";
import type { Site } from "./site.ts";
import type { Side } from "./split.ts";
import { includesTag } from "./subset.ts";
import type { Upstreams } from "./upstreams.ts";

/** What a worker waits for before it can route a request: a `serviceKey`, or `@` and a datacenter. */
export type Awaited = string;

export class Missing {
  readonly #upstreams: Upstreams;

  constructor(upstreams: Upstreams) {
    this.#upstreams = upstreams;
  }

  /**
   * Call it after the router returned `null`. Returns what has to be watched before the request can be served.
   * Returns `null` when watching would not help, so that unknown hosts, and hosts that the listener does not expose,
   * cost no watch.
   * @param known the rule that decided before something changed the request.
   */
  unwatched(
    { rules, service: site }: Site,
    request: RoutedRequest,
    exposes: Exposure,
    known: Rule | null = null,
  ): Awaited | null {
    const { host } = request;
    if (rules !== null) {
      for (const { upstream } of rules.decide(request, known)?.split.sides ?? []) {
        const query = this.#upstreams.queryOf(upstream);
        if (query !== null && this.#isUnwatched(query)) return query.key;
      }
      return null;
    }
    const documented = this.#upstreams.documents.ofSite(site?.site ?? host);
    if (documented !== undefined) return this.#unwatchedOf(documented);
    if (site === null) return null;
    if (exposes === "documents" || reachOf(site.name, []) === "never") return null;
    const catalog = this.#unreadCatalog(site);
    if (catalog !== null || !this.#upstreams.isExposed(site, exposes)) return catalog;
    return this.#unwatchedService(site);
  }

  /** Does the same for an upstream that a script named. */
  unwatchedUpstream(name: string): Awaited | null {
    const documented = this.#upstreams.documents.get(name);
    if (documented !== undefined) return this.#unwatchedOf(documented);
    const service = this.#upstreams.steerable(name);
    if (service === null) return null;
    return this.#unreadCatalog(service) ?? this.#unwatchedService(service);
  }

  /**
   * Call it after the router returned `null`. Says why, in one clause for the client and the operator. It says the
   * same about a service that the listener does not expose as about one that does not exist.
   */
  explain(
    { rules, service: site }: Site,
    request: RoutedRequest,
    exposes: Exposure,
    known: Rule | null = null,
  ): string {
    const { host, path } = request;
    if (rules === null) {
      const documented = this.#upstreams.documents.ofSite(site?.site ?? host);
      const query = documented?.query ?? (this.#isHidden(site, exposes) ? null : site);
      const reason = query === null ? null : this.#explainService(query, site?.tag ?? null);
      return reason ?? `no such host: ${host}`;
    }
    if (!rules.document.enable) return `host ${host} is switched off`;
    const rule = rules.decide(request, known);
    if (rule === null) return `host ${host} has no rule for path ${path}`;
    return this.#explainRule(host, site, rule);
  }

  /**
   * Call it after the router returned `null`. Whether a document sends the request somewhere, so that the upstream is
   * missing and not the route.
   */
  isRouted(
    { rules, service: site }: Site,
    request: RoutedRequest,
    known: Rule | null = null,
  ): boolean {
    if (rules === null)
      return this.#upstreams.documents.ofSite(site?.site ?? request.host) !== undefined;
    return (rules.decide(request, known)?.split.sides.length ?? 0) > 0;
  }

  /** Says why a script cannot have the upstream that it named. */
  explainUpstream(name: string): string {
    const query = this.#upstreams.documents.get(name)?.query ?? this.#upstreams.steerable(name);
    return (
      (query === null ? null : this.#explainService(query, query.tag)) ??
      `upstream ${name} is unknown`
    );
  }

  /**
   * The service that a host names and that this listener does not expose although Consul has it; otherwise `null`.
   */
  hidden({ rules, service: site }: Site, exposes: Exposure): string | null {
    if (site === null || rules !== null) return null;
    if (this.#upstreams.documents.ofSite(site.site) !== undefined) return null;
    const isThere =
      this.#upstreams.tables.catalog.has(site.key) || this.#upstreams.tables.service.has(site.key);
    return isThere && this.#isHidden(site, exposes) ? site.key : null;
  }

  /**
   * Says why `upstream` has no peer if the reason is that the catalog has no such service; otherwise returns `null`.
   * A service that a document names is watched, and so has an upstream, even before the service exists.
   */
  explainEmpty({ name }: Upstream): string | null {
    const query = this.#upstreams.documents.get(name)?.query;
    if (query === null) return null;
    // A service's upstream is named by its key, with the tag in front if it has one. Service names have no dots.
    const key = query === undefined ? name.slice(name.lastIndexOf(".") + 1) : query.key;
    if (key.includes("@") || this.#upstreams.tables.catalog.has(key)) return null;
    return query === undefined
      ? `there is no upstream document and no service ${key}`
      : `the service ${key} of upstream ${name} does not exist`;
  }

  /** Whether a document has the upstream's name. */
  isDocumented({ name }: Upstream): boolean {
    return this.#upstreams.documents.get(name) !== undefined;
  }

  #isHidden(site: ServiceSite | null, exposes: Exposure): boolean {
    return site !== null && !this.#upstreams.isExposed(site, exposes);
  }

  #unwatchedOf({ query }: Documented): Awaited | null {
    return query !== null && this.#isUnwatched(query) ? query.key : null;
  }

  /**
   * The primary itself watches what documents name. A service that its own datacenter's catalog lacks is not waited
   * for.
   */
  #isUnwatched({ key, datacenter }: ServiceSite): boolean {
    if (this.#upstreams.tables.service.has(key)) return false;
    return datacenter !== null || this.#upstreams.tables.catalog.has(key);
  }

  /** For a name that no document has. */
  #unwatchedService({ key }: ServiceSite): Awaited | null {
    const { service, catalog } = this.#upstreams.tables;
    return catalog.has(key) && !service.has(key) ? key : null;
  }

  /**
   * The catalog that would show whether the service exists, if the service is in another datacenter that Consul
   * knows.
   */
  #unreadCatalog({ datacenter, key }: ServiceSite): Awaited | null {
    if (datacenter === null || this.#upstreams.tables.service.has(key)) return null;
    const known = this.#upstreams.tables.datacenter.get(datacenter);
    return known !== undefined && !known.catalog ? `@${datacenter}` : null;
  }

  #explainRule(host: string, site: ServiceSite | null, rule: Rule): string {
    const { written, split } = rule;
    const where = written.startsWith("/") ? `path ${written}` : written;
    if (split.weights.every((weight) => weight === 0))
      return `every share of ${where} of host ${host} has weight 0`;
    const unknown = split.sides.find((side) => this.#upstreams.side(side, site) === null);
    return unknown === undefined
      ? `host ${host} has an upstream for ${where}`
      : this.explainSide(unknown, host, site);
  }

  /** Says why a side of a host document has no upstream. */
  explainSide(
    side: Pick<Side, "upstream" | "subset">,
    host: string,
    site: ServiceSite | null,
  ): string {
    const { upstream: unknown, subset } = side;
    const documented = this.#upstreams.documents.get(unknown);
    if (subset !== null && documented !== undefined && documented.query === null)
      return `upstream ${unknown} of host ${host} lists servers, which have neither tags nor metadata`;
    const query = this.#upstreams.queryOf(unknown);
    const isOwn = query !== null && query.tag === null && query.key === site?.key;
    const tag = isOwn ? (site?.tag ?? null) : (query?.tag ?? null);
    const isDocumented = documented !== undefined;
    const reason = query === null ? null : this.#explainService(query, tag, isDocumented);
    return reason === null
      ? `upstream ${unknown} of host ${host} is unknown`
      : `upstream ${unknown} of host ${host} cannot be used: ${reason}`;
  }

  /** Says why a service has no upstream; `null` when the service does not exist and no document names it. */
  #explainService(
    { key, datacenter }: ServiceSite,
    tag: string | null,
    isDocumented = false,
  ): string | null {
    const { catalog, service } = this.#upstreams.tables;
    if (service.has(key)) {
      if (tag === null || includesTag(catalog.get(key), tag)) return null;
      return `service ${key} has no tag ${tag}`;
    }
    if (catalog.has(key) || (datacenter !== null && isDocumented))
      return `service ${key} is not watched yet`;
    return isDocumented ? `service ${key} is unknown` : null;
  }
}
