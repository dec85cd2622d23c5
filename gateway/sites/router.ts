/**
 * One version's routing table, from host and path to an upstream. Its users see it as immutable; a new version makes
 * a new router that shares what did not change. It picks no peer and knows no sockets.
 */
import { type Gate, type PeerBook, PeerTokens, type Upstream } from "../balancing/index.ts";
import {
  type Exposure,
  ownDatacenter,
  type Reach,
  type RoutedUpstream,
  type Served,
  type ServedKind,
  SiteNames,
  stickyKeyName,
  type Tables,
  type UpstreamKeys,
} from "../model/index.ts";
import { Documents } from "./documents.ts";
import { Missing } from "./missing.ts";
import { PeersByHand } from "./peers-by-hand.ts";
import { type Choice, noPhases } from "./phase.ts";
import type { RoutedRequest } from "./request-values.ts";
import { type Routes, Routing } from "./routing.ts";
import type { Rule } from "./rule.ts";
import { Services } from "./services.ts";
import type { Site } from "./site.ts";
import { type PhasesOf, type ScriptsByHost, SiteTable } from "./site-table.ts";
import { TagSites } from "./tag-sites.ts";
import { Upstreams } from "./upstreams.ts";

export interface RouterOptions {
  /** Numbers in [0, 1), for splits. */
  readonly random: () => number;
  /** Milliseconds on the clock that upstreams use. */
  readonly now: () => number;
  /** Milliseconds since the epoch, for shares that grow with time. Default: the system's clock. */
  readonly date?: () => number;
  /** The scripts for each host in this version. Default: none. */
  readonly scripts?: ScriptsByHost;
  /** Default: only scripts take part in requests. */
  readonly phasesOf?: PhasesOf;
}

interface Disposable {
  dispose(): void;
}

export class Router {
  /** Explains why a request got no upstream. */
  readonly missing: Missing;
  readonly #options: RouterOptions;
  readonly #sites: SiteTable;
  readonly #tagSites: TagSites;
  readonly #upstreams: Upstreams;
  readonly #routing: Routing;
  readonly #stickyKey: string;
  /** The names for servers in cookies; `null` while their key is not known yet. */
  readonly #tokens: PeerTokens | null;
  /** The router that this one was built from, until that one is disposed. */
  #previous: Router | null;
  /** What `#previous` has and this router does not. */
  readonly #dropped: readonly Disposable[];

  private constructor(parts: {
    readonly options: RouterOptions;
    readonly sites: SiteTable;
    readonly tagSites: TagSites;
    readonly upstreams: Upstreams;
    readonly previous: Router | null;
    readonly dropped: readonly Disposable[];
    readonly stickyKey: string;
    readonly tokens: PeerTokens | null;
  }) {
    this.#options = parts.options;
    this.#sites = parts.sites;
    this.#tagSites = parts.tagSites;
    this.#upstreams = parts.upstreams;
    this.missing = new Missing(parts.upstreams);
    this.#routing = new Routing(parts.upstreams, this.missing, {
      random: parts.options.random,
      now: parts.options.now,
      date: parts.options.date ?? Date.now,
    });
    this.#previous = parts.previous;
    this.#dropped = parts.dropped;
    this.#stickyKey = parts.stickyKey;
    this.#tokens = parts.tokens;
  }

  /**
   * Builds the router for `tables`. With `previous`, it shares everything that is the same object there. With
   * `changes` too, which must be all changes from `previous` to `tables`, it looks at nothing else. It takes
   * references to peers in `book`; call `previous.dispose(router)` afterwards.
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
    const {
      names: namesBefore,
      services: servicesBefore,
      documents: documentsBefore,
    } = before.#upstreams;
    const isSameNames = own === namesBefore.ownDatacenter;
    const stickyKey = tables.key.get(stickyKeyName) ?? "";
    const isSameKey = stickyKey === before.#stickyKey;
    const names = isSameNames ? namesBefore : new SiteNames(own);
    // When the names for things change, nothing can be kept as it was.
    const known = previous === null || !isSameNames ? null : changes;
    const tokens = isSameKey ? before.#tokens : tokensOf(stickyKey);
    const changed = (kind: ServedKind) => keysOf(known, kind);
    const dropped: Disposable[] = [];
    const byHand = new PeersByHand(tables.peer, names);
    const changedSettings = changed("peer");
    const changedServices = joined(changed("service"), byHand.servicesOf(changedSettings));
    const services = servicesBefore.next(tables.service, byHand, changedServices, book, dropped);
    const documents = documentsBefore.next(
      tables.upstream,
      services,
      names,
      byHand,
      joined(changed("upstream"), changedSettings),
      changedServices,
      book,
      dropped,
    );
    const { scripts = noScripts, phasesOf = () => noPhases } = options;
    const parts = { names, documents: tables.host, scripts, phasesOf, tokens };
    const sites = before.#sites.next(parts, changed("host"));
    const tagSites = before.#tagSites.next(tables.route, changed("route"), phasesOf);
    const reaches = known === null ? new Map<string, Reach>() : before.#upstreams.reaches;
    for (const { kind, key } of known ?? [])
      if (kind === "catalog" || kind === "service") reaches.delete(key);
    const upstreams = new Upstreams({ tables, names, documents, services, reaches });
    return new Router({
      options,
      sites,
      tagSites,
      upstreams,
      previous,
      dropped,
      stickyKey,
      tokens,
    });
  }

  static #empty(tables: Tables, options: RouterOptions): Router {
    const names = new SiteNames(null);
    const sites = SiteTable.empty(names);
    const [documents, services] = [Documents.empty, new Services()];
    const upstreams = new Upstreams({ tables, names, documents, services, reaches: new Map() });
    return new Router({
      options,
      sites,
      tagSites: TagSites.empty,
      upstreams,
      previous: null,
      dropped: [],
      stickyKey: "",
      tokens: null,
    });
  }

  /**
   * The site of a host, which is in lower case, without port and trailing dot; see `SiteTable.find`. Routes from
   * services' tags count when the listener exposes them, and when neither a document nor a service's name decides.
   */
  site(host: string, exposes: Exposure = "documents"): Site {
    const site = this.#sites.find(host);
    if (exposes === "documents" || site.rules !== null || this.#isService(host, site)) return site;
    if (this.#upstreams.documents.get(host) !== undefined) return site;
    return this.#tagSites.find(host, site);
  }

  /** A bare name such as `localhost` can be a service's, but is not while there is no such service. */
  #isService(host: string, { service }: Site): boolean {
    if (service === null) return false;
    const { catalog, service: instances } = this.#upstreams.tables;
    const hasInstances = (instances.get(service.key)?.length ?? 0) > 0;
    return host.endsWith(".consul") || catalog.has(service.key) || hasInstances;
  }

  /**
   * The upstream for a request to `site`, the site of its host: by the site's rules, else by the upstream document
   * with that name, else by the service with that name if the listener exposes it. A host with a document is decided
   * by that document alone. The request's path is in normal form. Returns `null` when nothing serves the request; see
   * `missing`. Allocates nothing.
   * @param choice is told what decided.
   */
  resolve(
    { rules, service }: Site,
    request: RoutedRequest,
    exposes: Exposure,
    choice: Choice,
  ): Upstream | null {
    if (rules !== null) return this.#routing.resolve(rules, service, request, choice);
    return this.#upstreams.ofHost(request.host, service, exposes);
  }

  /**
   * Everything that `resolve` may return, with shares; `null` when nothing decides about this request. Also says what
   * decides, and why a missing upstream is missing.
   * @param known the rule that decided before something changed the request.
   */
  routes(
    { rules, service }: Site,
    request: RoutedRequest,
    exposes: Exposure,
    known: Rule | null = null,
  ): Routes | null {
    if (rules !== null) return this.#routing.describe(rules, service, request, known);
    const { host } = request;
    const documented = this.#upstreams.documents.ofSite(service?.site ?? host);
    const upstream = this.#upstreams.ofHost(host, service, exposes);
    if (documented === undefined && upstream === null) return null;
    const name = documented?.name ?? upstream?.name ?? host;
    const by = documented === undefined ? "service" : `upstreams/${documented.name}`;
    const shares = [{ name, part: 1, upstream, why: null }];
    return { by, rule: null, passedOver: [], decided: null, shares };
  }

  /**
   * The name under which requests to `site`, the site of `host`, are counted: the key of the document or script that
   * decides about them, or the site of an exposed service. `null` for an unknown host, so that strangers cannot make
   * up names.
   */
  nameOf({ rules, scripts, service }: Site, host: string, exposes: Exposure): string | null {
    if (rules !== null) return rules.name;
    const documented = this.#upstreams.documents.ofSite(service?.site ?? host);
    if (documented !== undefined) return documented.name;
    if (service !== null && this.#upstreams.isExposed(service, exposes)) {
      const { service: instances, catalog } = this.#upstreams.tables;
      if (instances.has(service.key) || catalog.has(service.key)) return service.site;
    }
    // A script makes a host known too, because it may answer by itself.
    return scripts[0]?.host ?? null;
  }

  /** The gates in front of upstreams, by the names of their documents. */
  get gates(): ReadonlyMap<string, Gate> {
    return this.#upstreams.documents.gates;
  }

  /** The upstream that a script names; see `Upstreams.named`. */
  upstream(name: string): Upstream | null {
    return this.#upstreams.named(name);
  }

  /**
   * Describes the upstreams of these entries as they are now. An entry that is missing or has no upstream adds
   * nothing.
   */
  describe({ upstreams, services }: UpstreamKeys): readonly RoutedUpstream[] {
    const nowMs = this.#options.now();
    const described: RoutedUpstream[] = [];
    for (const key of upstreams) {
      const upstream = this.#upstreams.documents.get(key)?.upstream ?? null;
      if (upstream !== null) described.push({ kind: "upstream", key, ...upstream.describe(nowMs) });
    }
    for (const key of services) {
      for (const upstream of this.#upstreams.services.upstreams(key))
        described.push({ kind: "service", key, ...upstream.describe(nowMs) });
    }
    return described;
  }

  /**
   * Gives up the peers that `next` does not have, or all peers when `next` is `null`. Requests that still hold an
   * upstream from this router may finish with it.
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
    yield* this.#upstreams.documents.all();
    yield* this.#upstreams.services.all();
  }
}

const noScripts: ScriptsByHost = new Map();

function tokensOf(key: string): PeerTokens | null {
  return key === "" ? null : new PeerTokens(key);
}

/** The keys of one kind among the changes; `null` when the changes are not known. */
function keysOf(changes: readonly Served[] | null, kind: ServedKind): ReadonlySet<string> | null {
  if (changes === null) return null;
  return new Set(changes.filter((change) => change.kind === kind).map((change) => change.key));
}

/** The union of both; `null` when one of them is not known. */
function joined(
  one: ReadonlySet<string> | null,
  other: ReadonlySet<string> | null,
): ReadonlySet<string> | null {
  if (one === null || other === null) return null;
  return other.size === 0 ? one : one.union(other);
}
