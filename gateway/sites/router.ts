/**
 * One version's table of routes: host and path -> upstream. Immutable to its users; a new version
 * makes a new router that shares what did not change. It picks no peer and knows no sockets.
 */
import type { PeerBook, Upstream } from "../balancing/index.ts";
import {
  type Exposure,
  isExposed,
  ownDatacenter,
  type Reach,
  type RoutedUpstream,
  reachOf,
  type Served,
  type ServedKind,
  type ServiceSite,
  SiteNames,
  type Tables,
  type UpstreamKeys,
} from "../model/index.ts";
import { type Documented, Documents } from "./documents.ts";
import { chooseShare, type Rule } from "./host-rules.ts";
import { noPhases } from "./phase.ts";
import { includesTag, Services, taggedOf } from "./services.ts";
import { type Site, unknownSite } from "./site.ts";
import { type PhasesOf, type ScriptsByHost, SiteTable } from "./site-table.ts";

export interface RouterOptions {
  /** Numbers in [0, 1), for splits. */
  readonly random: () => number;
  /** Milliseconds of the clock that upstreams are asked with; for `describe`. */
  readonly now: () => number;
  /** What runs for which host, of the same version. Default: nothing. */
  readonly scripts?: ScriptsByHost;
  /** Default: nothing takes part but scripts. */
  readonly phasesOf?: PhasesOf;
}

/** What a request may be sent to, and what decides that. */
export interface Routes {
  /** The key of a document, or `service`. */
  readonly by: string;
  /** The path of the document's rule, as it is written; `null`: no rule decides. */
  readonly rule: string | null;
  readonly shares: readonly RouteShare[];
}

export interface RouteShare {
  readonly name: string;
  readonly weight: number;
  /** `null`: there is none, and `why`. */
  readonly upstream: Upstream | null;
  readonly why: string | null;
}

interface Disposable {
  dispose(): void;
}

/** What a worker waits for before a request can be routed: a `serviceKey`, or `@` and a datacenter. */
export type Awaited = string;

export class Router {
  readonly #names: SiteNames;
  readonly #tables: Tables;
  readonly #options: RouterOptions;
  readonly #sites: SiteTable;
  readonly #documents: Documents;
  readonly #services: Services;
  /** By `serviceKey`; made when a service is first asked for by its name. */
  readonly #reaches: Map<string, Reach>;
  /** The router that this one was built from, until that one is disposed of. */
  #previous: Router | null;
  /** What `#previous` has and this one does not. */
  readonly #dropped: readonly Disposable[];

  private constructor(parts: {
    readonly tables: Tables;
    readonly options: RouterOptions;
    readonly names: SiteNames;
    readonly sites: SiteTable;
    readonly documents: Documents;
    readonly services: Services;
    readonly reaches: Map<string, Reach>;
    readonly previous: Router | null;
    readonly dropped: readonly Disposable[];
  }) {
    this.#names = parts.names;
    this.#tables = parts.tables;
    this.#options = parts.options;
    this.#sites = parts.sites;
    this.#documents = parts.documents;
    this.#services = parts.services;
    this.#reaches = parts.reaches;
    this.#previous = parts.previous;
    this.#dropped = parts.dropped;
  }

  /**
   * The router of `tables`. With `previous`, everything that is the same object there is shared; with
   * `changes` too, all that leads from `previous` to `tables`, nothing else is even looked at.
   * References to peers are taken in `book`; afterwards call `previous.dispose(router)`.
   */
  static build(
    tables: Tables,
    book: PeerBook,
    options: RouterOptions,
    previous: Router | null = null,
    changes: readonly Served[] | null = null,
  ): Router {
    const before = previous ?? Router.#empty(tables, options);
    const own = ownDatacenter(tables);
    const isSameNames = own === before.#names.ownDatacenter;
    const names = isSameNames ? before.#names : new SiteNames(own);
    // With other names for the same things, nothing may be as it was.
    const known = previous === null || !isSameNames ? null : changes;
    const changed = (kind: ServedKind) => keysOf(known, kind);
    const dropped: Disposable[] = [];
    const changedServices = changed("service");
    const services = before.#services.next(tables.service, changedServices, book, dropped);
    const documents = before.#documents.next(
      tables.upstream,
      services,
      names,
      changed("upstream"),
      changedServices,
      book,
      dropped,
    );
    const { scripts = noScripts, phasesOf = () => noPhases } = options;
    const parts = { names, documents: tables.host, scripts, phasesOf };
    const sites = before.#sites.next(parts, changed("host"));
    const reaches = known === null ? new Map<string, Reach>() : before.#reaches;
    for (const { kind, key } of known ?? [])
      if (kind === "catalog" || kind === "service") reaches.delete(key);
    return new Router({
      tables,
      options,
      names,
      sites,
      documents,
      services,
      reaches,
      previous,
      dropped,
    });
  }

  static #empty(tables: Tables, options: RouterOptions): Router {
    const names = new SiteNames(null);
    return new Router({
      tables,
      options,
      names,
      sites: SiteTable.empty(names),
      documents: Documents.empty,
      services: new Services(),
      reaches: new Map(),
      previous: null,
      dropped: [],
    });
  }

  /** The site of a host in lower case, without port and trailing dot; see `SiteTable.find`. */
  site(host: string): Site {
    return this.#sites.find(host);
  }

  /**
   * The upstream for a request of `site`, which is that of `host`: by its rules, else by the upstream document of that
   * name, else by the service of that name if the listener exposes it. `path` is in normal form. A host with a document
   * is decided by that document alone. `null`: nothing serves it; see `unwatched` and `explain`. Allocates nothing.
   */
  resolve(
    { rules, service }: Site,
    host: string,
    path: string,
    exposes: Exposure,
  ): Upstream | null {
    if (rules !== null) {
      const rule = rules.find(path);
      if (rule === null) return null;
      const name = chooseShare(rule, this.#options.random);
      return name === null ? null : this.#share(name, service);
    }
    if (service === null) return this.#documents.get(host)?.upstream ?? null;
    const documented = this.#documents.ofSite(service.site);
    if (documented !== undefined) return this.#narrowed(documented, service);
    return this.#isExposed(service, exposes) ? this.#find(service, service.tag) : null;
  }

  /**
   * All that `resolve` may give, with their shares; `null` where nothing decides for this path. Also says what decides, and
   * why what is missing is missing.
   */
  routes({ rules, service }: Site, host: string, path: string, exposes: Exposure): Routes | null {
    if (rules !== null) {
      const rule = rules.find(path);
      if (rule === null) return null;
      const shares = rule.upstreams.map((name, at): RouteShare => {
        const upstream = this.#share(name, service);
        const why = upstream === null ? this.#explainShare(name, host, service) : null;
        return { name, weight: rule.weights[at] ?? 0, upstream, why };
      });
      return { by: `hosts/${rules.name}`, rule: rule.written, shares };
    }
    const documented = this.#documents.ofSite(service?.site ?? host);
    const upstream = this.resolve(unruled(service), host, path, exposes);
    if (documented === undefined && upstream === null) return null;
    const name = documented?.name ?? upstream?.name ?? host;
    const by = documented === undefined ? "service" : `upstreams/${documented.name}`;
    return { by, rule: null, shares: [{ name, weight: 1, upstream, why: null }] };
  }

  /**
   * What requests of `site`, which is that of `host`, are counted under: the key of the document or script that decides
   * them, or the site of an exposed service; `null` for a host that nobody has, so that strangers cannot make up names.
   */
  nameOf({ rules, scripts, service }: Site, host: string, exposes: Exposure): string | null {
    if (rules !== null) return rules.name;
    const documented = this.#documents.ofSite(service?.site ?? host);
    if (documented !== undefined) return documented.name;
    if (service !== null && this.#isExposed(service, exposes)) {
      const { service: instances, catalog } = this.#tables;
      if (instances.has(service.key) || catalog.has(service.key)) return service.site;
    }
    // A script is a reason to know a host, too: it may answer by itself.
    return scripts[0]?.host ?? null;
  }

  /**
   * The upstream document or service that a script names; `null` when there is none, or none yet. Consul's
   * own service is none, since a script may have the name from its client.
   */
  upstream(name: string): Upstream | null {
    const documented = this.#documents.get(name);
    if (documented !== undefined) return documented.upstream;
    const service = this.#steerable(name);
    return service === null ? null : this.#find(service, service.tag);
  }

  /**
   * After `resolve` gave `null`: what has to be watched before the request can be served. `null` when
   * watching would not help, so that hosts which nobody has, or which the listener does not expose, cost no watch.
   */
  unwatched(
    { rules, service: site }: Site,
    host: string,
    path: string,
    exposes: Exposure,
  ): Awaited | null {
    if (rules !== null) {
      for (const name of rules.find(path)?.upstreams ?? []) {
        const query = this.#queryOf(name);
        if (query !== null && this.#isUnwatched(query)) return query.key;
      }
      return null;
    }
    const documented = this.#documents.ofSite(site?.site ?? host);
    if (documented !== undefined) return this.#unwatchedOf(documented);
    if (site === null) return null;
    if (exposes === "documents" || reachOf(site.name, []) === "never") return null;
    const catalog = this.#unreadCatalog(site);
    if (catalog !== null || !this.#isExposed(site, exposes)) return catalog;
    return this.#unwatchedService(site);
  }

  /** The same after `upstream(name)` gave `null`. */
  unwatchedUpstream(name: string): Awaited | null {
    const documented = this.#documents.get(name);
    if (documented !== undefined) return this.#unwatchedOf(documented);
    const service = this.#steerable(name);
    if (service === null) return null;
    return this.#unreadCatalog(service) ?? this.#unwatchedService(service);
  }

  /**
   * After `resolve` gave `null`: why, in one clause for the client and the operator. Of a service that the
   * listener does not expose it says what it says of one that does not exist.
   */
  explain({ rules, service: site }: Site, host: string, path: string, exposes: Exposure): string {
    if (rules === null) {
      const documented = this.#documents.ofSite(site?.site ?? host);
      const query = documented?.query ?? (this.#isHidden(site, exposes) ? null : site);
      const reason = query === null ? null : this.#explainService(query, site?.tag ?? null);
      return reason ?? `no such host: ${host}`;
    }
    if (!rules.document.enable) return `host ${host} is switched off`;
    const rule = rules.find(path);
    if (rule === null) return `host ${host} has no rule for path ${path}`;
    return this.#explainRule(host, site, rule);
  }

  /**
   * After `resolve` gave `null`: whether a document sends the request somewhere, so that it is an upstream that
   * is missing and not the route.
   */
  isRouted({ rules, service: site }: Site, host: string, path: string): boolean {
    if (rules === null) return this.#documents.ofSite(site?.site ?? host) !== undefined;
    return (rules.find(path)?.upstreams.length ?? 0) > 0;
  }

  /** After `upstream(name)` gave `null`: why. */
  explainUpstream(name: string): string {
    const query = this.#documents.get(name)?.query ?? this.#steerable(name);
    return (
      (query === null ? null : this.#explainService(query, query.tag)) ??
      `upstream ${name} is unknown`
    );
  }

  /** The service that a host names and that this listener does not expose, although Consul has it. */
  hidden({ rules, service: site }: Site, exposes: Exposure): string | null {
    if (site === null || rules !== null) return null;
    if (this.#documents.ofSite(site.site) !== undefined) return null;
    const isThere = this.#tables.catalog.has(site.key) || this.#tables.service.has(site.key);
    return isThere && this.#isHidden(site, exposes) ? site.key : null;
  }

  /**
   * Why `upstream` has no peer, when that is because the catalog has no such service; `null` when it is not. A
   * service that a document names is watched, and so has an upstream, before there is any such service.
   */
  explainEmpty({ name }: Upstream): string | null {
    const query = this.#documents.get(name)?.query;
    if (query === null) return null;
    // A service's upstream is named by its key, behind its tag if it has one; service names have no dots.
    const key = query === undefined ? name.slice(name.lastIndexOf(".") + 1) : query.key;
    if (key.includes("@") || this.#tables.catalog.has(key)) return null;
    return query === undefined
      ? `there is no upstream document and no service ${key}`
      : `the service ${key} of upstream ${name} does not exist`;
  }

  /** The upstreams of these entries as they stand now; an entry that has none, or is not there, adds nothing. */
  describe({ upstreams, services }: UpstreamKeys): readonly RoutedUpstream[] {
    const nowMs = this.#options.now();
    const described: RoutedUpstream[] = [];
    for (const key of upstreams) {
      const upstream = this.#documents.get(key)?.upstream ?? null;
      if (upstream !== null) described.push({ kind: "upstream", key, ...upstream.describe(nowMs) });
    }
    for (const key of services) {
      for (const upstream of this.#services.upstreams(key))
        described.push({ kind: "service", key, ...upstream.describe(nowMs) });
    }
    return described;
  }

  /**
   * Gives up the peers of what `next` does not have; of everything with `null`. Requests that
   * still hold an upstream of this router may finish with it.
   */
  dispose(next: Router | null): void {
    if (next !== null && next.#previous === this) {
      for (const holder of next.#dropped) holder.dispose();
      next.#previous = null;
    } else {
      const kept = new Set(next === null ? [] : next.#holders());
      for (const holder of this.#holders()) if (!kept.has(holder)) holder.dispose();
    }
  }

  *#holders(): Generator<Disposable> {
    yield* this.#documents.all();
    yield* this.#services.all();
  }

  /** What a share of a host document names, narrowed to the tag of the host when it is the host's own service. */
  #share(name: string, site: ServiceSite | null): Upstream | null {
    const documented = this.#documents.get(name);
    if (documented !== undefined)
      return site === null ? documented.upstream : this.#narrowed(documented, site);
    const service = this.#names.find(name);
    if (service === null) return null;
    const isOwn = site !== null && service.tag === null && service.key === site.key;
    return this.#find(service, isOwn ? site.tag : service.tag);
  }

  #narrowed({ query, service, upstream }: Documented, { tag, key }: ServiceSite): Upstream | null {
    if (tag === null || service === null || query === null) return upstream;
    if (query.key !== key || query.tag !== null) return upstream;
    return taggedOf(service, tag, this.#tables.catalog.get(key));
  }

  #find({ key }: ServiceSite, tag: string | null): Upstream | null {
    // Which tags the catalog has matters to names with one alone.
    return this.#services.find(key, tag, tag === null ? undefined : this.#tables.catalog.get(key));
  }

  #isExposed(site: ServiceSite, exposes: Exposure): boolean {
    return exposes !== "documents" && isExposed(this.#reach(site), exposes);
  }

  /** Where the catalog has no tags, as for a service that has just left it, those of the instances count. */
  #reach({ name, key }: ServiceSite): Reach {
    const known = this.#reaches.get(key);
    if (known !== undefined) return known;
    const instances = this.#services.instances(key);
    const tags = this.#tables.catalog.get(key) ?? instances?.flatMap((one) => one.tags);
    if (tags === undefined) return reachOf(name, []);
    const reach = reachOf(name, tags);
    this.#reaches.set(key, reach);
    return reach;
  }

  #isHidden(site: ServiceSite | null, exposes: Exposure): boolean {
    return site !== null && !this.#isExposed(site, exposes);
  }

  /** What a script may mean by `name` where no document has it. */
  #steerable(name: string): ServiceSite | null {
    const service = this.#names.find(name);
    return service === null || reachOf(service.name, []) === "never" ? null : service;
  }

  /** What a host document means by `name`. */
  #queryOf(name: string): ServiceSite | null {
    const documented = this.#documents.get(name);
    return documented === undefined ? this.#names.find(name) : documented.query;
  }

  #unwatchedOf({ query }: Documented): Awaited | null {
    return query !== null && this.#isUnwatched(query) ? query.key : null;
  }

  /** The primary watches what documents name by itself; what the own datacenter has not is not waited for. */
  #isUnwatched({ key, datacenter }: ServiceSite): boolean {
    if (this.#tables.service.has(key)) return false;
    return datacenter !== null || this.#tables.catalog.has(key);
  }

  /** Of a name that no document has. */
  #unwatchedService({ key }: ServiceSite): Awaited | null {
    const { service, catalog } = this.#tables;
    return catalog.has(key) && !service.has(key) ? key : null;
  }

  /** The catalog that would tell whether the service is there, when it is of a datacenter that Consul knows. */
  #unreadCatalog({ datacenter, key }: ServiceSite): Awaited | null {
    if (datacenter === null || this.#tables.service.has(key)) return null;
    const known = this.#tables.datacenter.get(datacenter);
    return known !== undefined && !known.catalog ? `@${datacenter}` : null;
  }

  #explainRule(host: string, site: ServiceSite | null, rule: Rule): string {
    if (rule.upstreams.length === 0)
      return `every share of path ${rule.written} of host ${host} has weight 0`;
    const unknown = rule.upstreams.find((name) => this.#share(name, site) === null);
    return unknown === undefined
      ? `host ${host} has an upstream for path ${rule.written}`
      : this.#explainShare(unknown, host, site);
  }

  #explainShare(unknown: string, host: string, site: ServiceSite | null): string {
    const query = this.#queryOf(unknown);
    const isOwn = query !== null && query.tag === null && query.key === site?.key;
    const tag = isOwn ? (site?.tag ?? null) : (query?.tag ?? null);
    const isDocumented = this.#documents.get(unknown) !== undefined;
    const reason = query === null ? null : this.#explainService(query, tag, isDocumented);
    return reason === null
      ? `upstream ${unknown} of host ${host} is unknown`
      : `upstream ${unknown} of host ${host} cannot be used: ${reason}`;
  }

  /** Why a service has no upstream; `null` when it does not exist, and no document names it. */
  #explainService(
    { key, datacenter }: ServiceSite,
    tag: string | null,
    isDocumented = false,
  ): string | null {
    const { catalog, service } = this.#tables;
    if (service.has(key)) {
      if (tag === null || includesTag(catalog.get(key), tag)) return null;
      return `service ${key} has no tag ${tag}`;
    }
    if (catalog.has(key) || (datacenter !== null && isDocumented))
      return `service ${key} is not watched yet`;
    return isDocumented ? `service ${key} is unknown` : null;
  }
}

function unruled(service: ServiceSite | null): Site {
  return { ...unknownSite, service };
}

const noScripts: ScriptsByHost = new Map();

/** The keys of one kind among the changes; `null` when the changes are not known. */
function keysOf(changes: readonly Served[] | null, kind: ServedKind): ReadonlySet<string> | null {
  if (changes === null) return null;
  return new Set(changes.filter((change) => change.kind === kind).map((change) => change.key));
}
