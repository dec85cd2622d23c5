/** The routes of a host: finds the first one that a request matches. */
import { hasPrefix, normalisePrefix } from "../engine/message/path.ts";
import type { RouteRule } from "../model/index.ts";
import { Requirements } from "./conditions.ts";
import { PathIndex } from "./path-index.ts";
import { RequestValues, type RoutedRequest } from "./request-values.ts";
import type { Rule } from "./rule.ts";

interface Entry {
  readonly rule: Rule;
  readonly route: RouteRule;
  readonly requirements: Requirements;
  /** Its place in the order of routes. */
  readonly rank: number;
  /** Whether it matches only the path itself and not longer ones. */
  readonly isExact: boolean;
  /** Without a slash at its end; empty for all paths. */
  readonly prefix: string;
}

/** The entries with one prefix, in their order, and the station of the longest prefix above it. */
interface Station {
  readonly entries: readonly Entry[];
  readonly above: Station | null;
}

export class RouteList {
  readonly looksAtPaths: boolean;
  readonly #stations = new PathIndex<Station>();
  readonly #all: readonly Entry[];
  readonly #values = new RequestValues();

  /** @param routes in the order in which they are asked. */
  constructor(routes: readonly { readonly route: RouteRule; readonly rule: Rule }[]) {
    this.#all = routes.flatMap(({ route, rule }, rank) => {
      const requirements = new Requirements(route.conditions);
      const paths = route.paths.length === 0 ? [{ prefix: "/" }] : route.paths;
      return paths.map(({ prefix, ...one }) => ({
        rule,
        route,
        requirements,
        rank,
        isExact: "exact" in one,
        prefix: normalisePrefix(prefix),
      }));
    });
    this.looksAtPaths = this.#all.some(({ prefix, isExact }) => prefix !== "" || isExact);
    const byPrefix = Map.groupBy(this.#all, ({ prefix }) => prefix);
    // Shorter prefixes first, so that each finds the longest one above it.
    for (const prefix of [...byPrefix.keys()].sort((a, b) => a.length - b.length)) {
      const above = this.#stations.longest(prefix);
      this.#stations.set(prefix, { entries: byPrefix.get(prefix) ?? [], above });
    }
  }

  /** @param path comparable; see `comparablePath`. */
  find(path: string, request: RoutedRequest): Rule | null {
    const values = this.#values;
    values.begin(request);
    let best: Entry | null = null;
    for (let at = this.#stations.longest(path); at !== null; at = at.above) {
      const { entries } = at;
      for (let i = 0; i < entries.length; i += 1) {
        const entry = entries[i];
        if (entry === undefined || (best !== null && entry.rank >= best.rank)) break;
        if (entry.isExact && !isExactly(path, entry.prefix)) continue;
        if (!entry.requirements.areMetBy(request, values)) continue;
        best = entry;
        break;
      }
    }
    return best === null ? null : best.rule;
  }

  passedOver(
    path: string,
    request: RoutedRequest,
  ): readonly { readonly rule: Rule; readonly why: string }[] {
    const found = this.find(path, request);
    const seen = new Map<Rule, string>();
    for (const { rule, requirements, isExact, prefix, route } of this.#all) {
      if (rule === found) break;
      const covers = isExact ? isExactly(path, prefix) : hasPrefix(path, prefix);
      const paths = route.paths.map((one) => one.prefix).slice(0, 3);
      const why = covers
        ? requirements.explain(request, this.#values)
        : `its path is ${paths.join(", ")}`;
      // Of several paths, the one that covers the request says more.
      if (why !== null && (covers || !seen.has(rule))) seen.set(rule, why);
    }
    return [...seen].map(([rule, why]) => ({ rule, why }));
  }
}

/** A slash at the end makes no difference. */
function isExactly(path: string, prefix: string): boolean {
  if (path.length === prefix.length) return path === prefix;
  return path.length === prefix.length + 1 && path.endsWith("/") && path.startsWith(prefix);
}
