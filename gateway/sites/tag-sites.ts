/**
 * The sites of hosts without a document, made from the routes in services' tags. A new version shares the rules of
 * all hosts that it does not change.
 */
import {
  defaultPriority,
  detached,
  type HostDocument,
  LayeredMap,
  RecentMap,
  type RouteRule,
  type TagRoute,
  WildcardIndex,
} from "../model/index.ts";
import { HostRules } from "./host-rules.ts";
import { noPhases } from "./phase.ts";
import { createSite, type Site } from "./site.ts";
import type { PhasesOf } from "./site-table.ts";

/**
 * How many sites are kept, by host. The bound matters because strangers can ask for any host when a route is for all
 * hosts.
 */
const maxFound = 4_096;
/** The key for routes that are for all hosts. */
const everywhere = "*";

/** The routes of one host, by their keys. */
type Routes = ReadonlyMap<string, TagRoute>;

interface Claimed {
  readonly routes: Routes;
  readonly rules: HostRules;
  /** Whether some route is for every path. */
  readonly isWhole: boolean;
}

/** A site, and the site that it was made from. */
interface Found {
  readonly base: Site;
  readonly site: Site;
}

export class TagSites {
  static readonly empty: TagSites = new TagSites({
    ...{ hosts: new LayeredMap(), hostOf: new LayeredMap(), wildcards: new WildcardIndex() },
    phasesOf: () => noPhases,
  });

  readonly #hosts: LayeredMap<Claimed>;
  /** The host of each route. */
  readonly #hostOf: LayeredMap<string>;
  readonly #wildcards: WildcardIndex<Claimed>;
  readonly #phasesOf: PhasesOf;
  readonly #found = new RecentMap<Found>(maxFound);
  /** The rules of wildcards, each followed by the rules for all hosts. */
  readonly #withAll = new Map<Claimed, HostRules>();

  private constructor(parts: {
    readonly hosts: LayeredMap<Claimed>;
    readonly hostOf: LayeredMap<string>;
    readonly wildcards: WildcardIndex<Claimed>;
    readonly phasesOf: PhasesOf;
  }) {
    this.#hosts = parts.hosts;
    this.#hostOf = parts.hostOf;
    this.#wildcards = parts.wildcards;
    this.#phasesOf = parts.phasesOf;
  }

  /**
   * Returns the sites of `table`. With `changed`, it looks only at these routes, and returns `this` when there are
   * none.
   */
  next(
    table: ReadonlyMap<string, TagRoute>,
    changed: ReadonlySet<string> | null,
    phasesOf: PhasesOf,
  ): TagSites {
    const homes: [key: string, host: string | null][] = [];
    const hosts = new Map<string, Map<string, TagRoute>>();
    const routesOf = (host: string) => {
      const routes = hosts.get(host) ?? new Map(this.#hosts.get(host)?.routes);
      hosts.set(host, routes);
      return routes;
    };
    for (const key of changed ?? new Set([...this.#hostOf.keys(), ...table.keys()])) {
      const before = this.#hostOf.get(key);
      const route = table.get(key);
      if (before !== undefined && this.#hosts.get(before)?.routes.get(key) === route) continue;
      if (before !== undefined) routesOf(before).delete(key);
      if (route !== undefined) routesOf(route.host).set(key, route);
      homes.push([key, route?.host ?? null]);
    }
    if (homes.length === 0) return this;
    const wildcards = new WildcardIndex(this.#wildcards);
    const changes = Array.from(hosts, ([host, routes]): [string, Claimed | null] => {
      const claimed = routes.size === 0 ? null : claim(host, routes, phasesOf);
      if (host.startsWith("*.")) wildcards.set(host, claimed);
      return [host, claimed];
    });
    const hostOf = this.#hostOf.with(homes);
    return new TagSites({ hosts: this.#hosts.with(changes), hostOf, wildcards, phasesOf });
  }

  /**
   * The site of a host that names no service and has no document: `base`, with the rules from tags. Allocates only
   * for the first request for a host in a version.
   */
  find(host: string, base: Site): Site {
    if (this.#hosts.size === 0) return base;
    const known = this.#found.get(host);
    if (known !== undefined && known.base === base) return known.site;
    const rules = this.#rulesOf(host);
    const site = rules === null ? base : createSite(null, rules, null, base);
    this.#found.set(detached(host), { base, site });
    return site;
  }

  /** The host's own rules, followed by those of the longest wildcard over it, followed by those for all hosts. */
  #rulesOf(host: string): HostRules | null {
    const own = this.#hosts.get(host);
    const wildcard = this.#wildcards.find(host);
    const all = this.#hosts.get(everywhere)?.rules ?? null;
    const beyond = wildcard === null ? all : this.#rulesWithAll(wildcard, all);
    if (own === undefined) return beyond;
    return beyond === null || own.isWhole ? own.rules : chained(own, beyond, this.#phasesOf);
  }

  #rulesWithAll(wildcard: Claimed, all: HostRules | null): HostRules {
    if (all === null || wildcard.isWhole) return wildcard.rules;
    const known = this.#withAll.get(wildcard);
    if (known !== undefined) return known;
    const rules = chained(wildcard, all, this.#phasesOf);
    this.#withAll.set(wildcard, rules);
    return rules;
  }
}

function claim(host: string, routes: Routes, phasesOf: PhasesOf): Claimed {
  const document: HostDocument = { enable: true, paths: [], routes: inOrder(routes) };
  const phases = phasesOf(host, document);
  const rules = new HostRules(host, document, phases, null, { by: byTags(host) });
  const isWhole = [...routes.values()].some(({ prefix, isExact }) => prefix === "/" && !isExact);
  return { routes, rules, isWhole };
}

function chained({ rules: { name, document } }: Claimed, beyond: HostRules, phasesOf: PhasesOf) {
  const origin = { by: byTags(name), beyond };
  return new HostRules(name, document, phasesOf(name, document), null, origin);
}

function byTags(host: string): string {
  return `tags for ${host === everywhere ? "every host" : host}`;
}

/** The highest priority first. A route without a priority gets one from the length of its path. */
function inOrder(routes: Routes): readonly RouteRule[] {
  const priorityOf = (route: TagRoute) => route.priority ?? defaultPriority(route);
  return [...routes.values()]
    .sort(
      (a, b) =>
        priorityOf(b) - priorityOf(a) ||
        Number(b.isExact) - Number(a.isExact) ||
        (a.prefix < b.prefix ? -1 : 1),
    )
    .map(ruleOf);
}

function ruleOf({ prefix, isExact, shares, plugins, sentHost }: TagRoute): RouteRule {
  return {
    name: isExact ? `${prefix} alone` : prefix,
    paths: [isExact ? { prefix, exact: true } : { prefix }],
    conditions: {},
    shares: shares.map(({ service, subset, transport, weight }) => ({
      upstream: `${service}.service.consul`,
      weight,
      ...(subset === null ? {} : { subset: { tag: subset } }),
      ...(transport === undefined ? {} : { transport }),
    })),
    ...(plugins.length === 0 ? {} : { plugins }),
    ...(sentHost === null ? {} : { sentHost }),
  };
}
