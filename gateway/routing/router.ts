/**
 * One version's table of routes: host and path -> upstream. Immutable to its users; a new version
 * makes a new router that shares what did not change. It picks no peer and knows no sockets.
 */
import type { PeerBook, Upstream, UpstreamStatus } from "../balancing/index.ts";
import type { Change, Kind, ServiceQuery, Tables } from "../state/index.ts";
import { parseServiceName, serviceKey } from "../state/index.ts";
import { Documents } from "./documents.ts";
import { chooseShare, type Rule } from "./host-rules.ts";
import { Hosts } from "./hosts.ts";
import { includesTag, Services } from "./services.ts";

export interface RouterOptions {
  /** Numbers in [0, 1), for splits. */
  readonly random: () => number;
  /** Milliseconds of the clock that upstreams are asked with; for `describe`. */
  readonly now: () => number;
}

interface Disposable {
  dispose(): void;
}

export class Router {
  readonly #tables: Tables;
  readonly #options: RouterOptions;
  readonly #hosts: Hosts;
  readonly #documents: Documents;
  readonly #services: Services;
  /** The router that this one was built from, until that one is disposed of. */
  #previous: Router | null;
  /** What `#previous` has and this one does not. */
  readonly #dropped: readonly Disposable[];

  private constructor(
    tables: Tables,
    options: RouterOptions,
    hosts: Hosts,
    documents: Documents,
    services: Services,
    previous: Router | null,
    dropped: readonly Disposable[],
  ) {
    this.#tables = tables;
    this.#options = options;
    this.#hosts = hosts;
    this.#documents = documents;
    this.#services = services;
    this.#previous = previous;
    this.#dropped = dropped;
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
    changes: readonly Change[] | null = null,
  ): Router {
    const before = previous ?? Router.#empty(tables, options);
    const changed = (kind: Kind) => (previous === null ? null : keysOf(changes, kind));
    const dropped: Disposable[] = [];
    const changedServices = changed("service");
    const services = before.#services.next(tables.service, changedServices, book, dropped);
    const documents = before.#documents.next(
      tables.upstream,
      services,
      changed("upstream"),
      changedServices,
      book,
      dropped,
    );
    const hosts = before.#hosts.next(tables.host, changed("host"));
    return new Router(tables, options, hosts, documents, services, previous, dropped);
  }

  static #empty(tables: Tables, options: RouterOptions): Router {
    return new Router(tables, options, Hosts.empty, Documents.empty, new Services(), null, []);
  }

  /**
   * The upstream for a request: by the document of its host or the longest `*.` wildcard, else by
   * the upstream document of that name, else by the service of that name. `host` is in lower case
   * without port and trailing dot, `path` in normal form. A host with a document is decided by that document alone.
   * `null`: nothing serves it; see `unwatched` and `explain`. Allocates nothing, but for the first
   * request for a service's name in a version.
   */
  resolve(host: string, path: string): Upstream | null {
    const rules = this.#hosts.find(host);
    if (rules === null) return this.upstream(host);
    const rule = rules.find(path);
    if (rule === null) return null;
    const name = chooseShare(rule, this.#options.random);
    return name === null ? null : this.upstream(name);
  }

  /** Names of the trailer fields that requests for a host may bring along; `null`: none. */
  trailers(host: string): ReadonlySet<string> | null {
    return this.#hosts.find(host)?.trailers ?? null;
  }

  /**
   * Whether a request for this host is refused whose path has an encoded slash: where a rule of the host or
   * its script (`isMatched`) decides by the path, what it asks for must be certain. The document may say.
   */
  refusesEncodedSlash(host: string, isMatched: boolean): boolean {
    return this.#hosts.find(host)?.refusesEncodedSlash(isMatched) ?? isMatched;
  }

  /** The upstream document or service of this name; `null` when there is none, or none yet. */
  upstream(name: string): Upstream | null {
    const documented = this.#documents.get(name);
    if (documented !== undefined) return documented.upstream;
    return this.#services.find(name, this.#tables.catalog);
  }

  /**
   * After `resolve` gave `null`: the `serviceKey` that has to be watched before the request can be
   * served. `null` when watching would not help, so that hosts which nobody has cost no watch.
   */
  unwatched(host: string, path: string): string | null {
    const rules = this.#hosts.find(host);
    if (rules === null) return this.unwatchedUpstream(host);
    for (const name of rules.find(path)?.upstreams ?? []) {
      const key = this.unwatchedUpstream(name);
      if (key !== null) return key;
    }
    return null;
  }

  /** The same after `upstream(name)` gave `null`. */
  unwatchedUpstream(name: string): string | null {
    const query = this.#query(name);
    if (query === null) return null;
    const key = serviceKey(query);
    if (this.#tables.service.has(key)) return null;
    // The catalog is the local datacenter's; whether another one has a service, only asking tells.
    return query.datacenter !== null || this.#tables.catalog.has(query.name) ? key : null;
  }

  /** After `resolve` gave `null`: why, in one clause for the client and the operator. */
  explain(host: string, path: string): string {
    const rules = this.#hosts.find(host);
    if (rules === null) return this.#explainName(host) ?? `no such host: ${host}`;
    if (!rules.document.enable) return `host ${host} is switched off`;
    const rule = rules.find(path);
    if (rule === null) return `host ${host} has no rule for path ${path}`;
    return this.#explainRule(host, rule);
  }

  /**
   * After `resolve` gave `null`: whether a document sends the request somewhere, so that it is an upstream that
   * is missing and not the route.
   */
  isRouted(host: string, path: string): boolean {
    const rules = this.#hosts.find(host);
    if (rules === null) return this.#documents.get(host) !== undefined;
    return (rules.find(path)?.upstreams.length ?? 0) > 0;
  }

  /** After `upstream(name)` gave `null`: why. */
  explainUpstream(name: string): string {
    return this.#explainName(name) ?? `upstream ${name} is unknown`;
  }

  /**
   * Why `upstream` has no peer, when that is because the catalog has no such service; `null` when it is not. A
   * service that a document names is watched, and so has an upstream, before there is any such service.
   */
  explainEmpty({ name }: Upstream): string | null {
    const query = this.#documents.get(name)?.query;
    if (query === null) return null;
    // A service's upstream is named by its key, behind its tag if it has one; service names have no dots.
    const key = query === undefined ? name.slice(name.lastIndexOf(".") + 1) : serviceKey(query);
    if (key.includes("@") || this.#tables.catalog.has(key)) return null;
    return query === undefined
      ? `there is no upstream document and no service ${key}`
      : `the service ${key} of upstream ${name} does not exist`;
  }

  /** Every upstream in use, for `/status`. */
  describe(): readonly UpstreamStatus[] {
    const nowMs = this.#options.now();
    const upstreams: Upstream[] = [];
    for (const { upstream } of this.#documents.all()) if (upstream) upstreams.push(upstream);
    for (const service of this.#services.all()) upstreams.push(...service.upstreams());
    return upstreams.map((upstream) => upstream.describe(nowMs));
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

  #query(name: string): ServiceQuery | null {
    const documented = this.#documents.get(name);
    return documented === undefined ? parseServiceName(name) : documented.query;
  }

  #explainRule(host: string, rule: Rule): string {
    if (rule.upstreams.length === 0)
      return `every share of path ${rule.written} of host ${host} has weight 0`;
    const unknown = rule.upstreams.find((name) => this.upstream(name) === null);
    if (unknown === undefined) return `host ${host} has an upstream for path ${rule.written}`;
    const reason = this.#explainName(unknown);
    return reason === null
      ? `upstream ${unknown} of host ${host} is unknown`
      : `upstream ${unknown} of host ${host} cannot be used: ${reason}`;
  }

  /** Why a name that is a document's or could be a service's has no upstream; `null` for any other. */
  #explainName(name: string): string | null {
    const query = this.#query(name);
    if (query === null) return null;
    const key = serviceKey(query);
    if (this.#tables.service.has(key)) {
      if (query.tag === null || includesTag(this.#tables.catalog.get(query.name), query.tag))
        return null;
      return `service ${key} has no tag ${query.tag}`;
    }
    if (query.datacenter !== null || this.#tables.catalog.has(query.name))
      return `service ${key} is not watched yet`;
    return this.#documents.get(name) === undefined ? null : `service ${key} is unknown`;
  }
}

/** The keys of one kind among the changes; `null` when the changes are not known. */
function keysOf(changes: readonly Change[] | null, kind: Kind): ReadonlySet<string> | null {
  if (changes === null) return null;
  return new Set(changes.filter((change) => change.kind === kind).map((change) => change.key));
}
