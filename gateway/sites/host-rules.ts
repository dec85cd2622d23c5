/** A host document prepared for requests: finds the route or path rule that decides about a request. */
import type { PeerTokens } from "../balancing/index.ts";
import { comparablePath, hasPrefix, normalisePrefix } from "../engine/message/path.ts";
import { type Destination, type HostDocument, needsStickyKey } from "../model/index.ts";
import { edgePhases } from "./edge-phases.ts";
import { PathIndex } from "./path-index.ts";
import { pathPhases } from "./path-phases.ts";
import { type HostPhases, noPhases, type Phase } from "./phase.ts";
import type { RoutedRequest } from "./request-values.ts";
import { RouteList } from "./route-list.ts";
import { Rule } from "./rule.ts";

/** With more rules than this, an index is faster than a look at each. */
const fewPaths = 16;

/** Where the rules come from. */
export interface RulesOrigin {
  /** What decides, in words that an operator can search for. Default: the document with that name. */
  readonly by?: string;
  /** Decides about requests that none of these rules covers. Default: nothing. */
  readonly beyond?: HostRules | null;
}

export class HostRules {
  /** The document's name: a host or `*.domain`; for routes from services' tags also `*`. */
  readonly name: string;
  /** What decides, in words that an operator can search for: `hosts/<name>`. */
  readonly by: string;
  readonly document: HostDocument;
  /** The phases that a request meets before the host's scripts. */
  readonly phasesBefore: readonly Phase[];
  /** The phases that it meets after them, those of the path rules included. */
  readonly phases: readonly Phase[];
  /** The trailer fields of requests that are passed on; `null`: none. */
  readonly trailers: ReadonlySet<string> | null;
  /** Whether the rules depend on the key for cookies. */
  readonly hasStickyCookie: boolean;
  /** `null` when the document has no routes. */
  readonly #routes: RouteList | null;
  /** The rules for paths, longest prefix first. */
  readonly #pathRules: readonly Rule[];
  /** The prefixes of these rules, kept apart so that a search touches only the rule that it finds. */
  readonly #prefixes: readonly string[];
  /** Finds the same rules when there are many; `null` when there are few. */
  readonly #index: PathIndex<Rule> | null;
  /** The rule for every path when it is the only one, so that no path has to be looked at. */
  readonly #catchAll: Rule | null;
  readonly #beyond: HostRules | null;
  /** The phases of the rule that has the most, rules beyond included. */
  readonly #longest: readonly Phase[];

  /** @param tokens for cookies that make clients stay; `null`: there are no such cookies. */
  constructor(
    name: string,
    document: HostDocument,
    phases: HostPhases = noPhases,
    tokens: PeerTokens | null = null,
    { by = `hosts/${name}`, beyond = null }: RulesOrigin = {},
  ) {
    this.name = name;
    this.by = by;
    this.#beyond = beyond;
    this.document = document;
    const { enable, trailers = [], routes = [] } = document;
    this.trailers = enable && trailers.length > 0 ? new Set(trailers) : null;
    this.hasStickyCookie = enable && needsStickyKey(document);
    const compile = (written: string, to: Destination, own: readonly Phase[]) =>
      new Rule(document, written, to, own, tokens);
    const listed = enable
      ? routes.map((route) => ({
          route,
          rule: compile(route.name, route, phases.byRoute.get(route.name) ?? []),
        }))
      : [];
    this.#routes = listed.length === 0 ? null : new RouteList(listed);
    const paths = enable
      ? document.paths
          .map((one) => ({
            prefix: normalisePrefix(one.prefix),
            rule: compile(one.prefix, one, phases.byPath.get(one.prefix) ?? []),
          }))
          .sort((a, b) => b.prefix.length - a.prefix.length)
      : [];
    this.#pathRules = paths.map(({ rule }) => rule);
    this.#prefixes = paths.map(({ prefix }) => prefix);
    const [first] = paths;
    this.#catchAll = first !== undefined && first.prefix === "" ? first.rule : null;
    this.#index = paths.length > fewPaths ? new PathIndex() : null;
    for (const { prefix, rule } of paths) this.#index?.set(prefix, rule);
    this.phasesBefore = enable ? [...edgePhases(document), ...phases.beforeScript] : [];
    const rules: Pick<Rule, "phases">[] = [...listed, ...paths].map(({ rule }) => rule);
    if (beyond !== null) rules.push({ phases: beyond.#longest });
    this.#longest = rules.reduce<readonly Phase[]>(
      (most, { phases: some }) => (some.length > most.length ? some : most),
      [],
    );
    this.phases = enable ? [...phases.behindScript, ...pathPhases(this, rules)] : [];
  }

  /** Whether a path with an encoded slash is refused; `isMatched`: a script's `match` looks at the path. */
  refusesEncodedSlash(isMatched: boolean): boolean {
    const { encodedSlashes } = this.document;
    if (encodedSlashes !== undefined) return encodedSlashes === "refuse";
    return (
      isMatched ||
      this.#prefixes.some((prefix) => prefix !== "") ||
      (this.#routes?.looksAtPaths ?? false) ||
      (this.#beyond?.refusesEncodedSlash(false) ?? false)
    );
  }

  /**
   * Returns the rule that decides about a request, whose path is in normal form: the first route that matches, or
   * else the path rule with the longest prefix that covers the path by whole segments.
   */
  find(request: RoutedRequest): Rule | null {
    const routes = this.#routes;
    if (routes === null && this.#catchAll !== null) return this.#catchAll;
    const path = comparablePath(request.path);
    if (routes !== null) {
      const route = routes.find(path, request);
      if (route !== null) return route;
    }
    const found = this.#findPath(path);
    return found !== null || this.#beyond === null ? found : this.#beyond.find(request);
  }

  /**
   * Does the same for a request that may have been changed since it was first decided.
   * @param known the rule that decided before; `null` when none did, or when nobody has asked.
   */
  decide(request: RoutedRequest, known: Rule | null): Rule | null {
    return known !== null && this.#owns(known) ? known : this.find(request);
  }

  /** The routes that were asked before the one that decides, and why each did not match; for `explain`. */
  passedOver(request: RoutedRequest): readonly { readonly rule: Rule; readonly why: string }[] {
    return this.#routes?.passedOver(comparablePath(request.path), request) ?? [];
  }

  #owns({ document }: Rule): boolean {
    for (let rules: HostRules | null = this; rules !== null; rules = rules.#beyond)
      if (rules.document === document) return true;
    return false;
  }

  #findPath(path: string): Rule | null {
    if (this.#catchAll !== null) return this.#catchAll;
    if (this.#index !== null) return this.#index.longest(path);
    const prefixes = this.#prefixes;
    // An indexed loop, because an iterator would allocate an object for each request.
    for (let i = 0; i < prefixes.length; i += 1) {
      const prefix = prefixes[i];
      if (prefix !== undefined && hasPrefix(path, prefix)) return this.#pathRules[i] ?? null;
    }
    return null;
  }
}
