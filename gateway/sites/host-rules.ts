/** A host document ready for requests: which rule covers a path, and which share of it gets a request. */
import { comparablePath, hasPrefix, normalisePrefix } from "../engine/message/path.ts";
import type { HostDocument, PathRule } from "../model/index.ts";
import { pathPhases } from "./path-phases.ts";
import { type HostPhases, noPhases, type Phase } from "./phase.ts";

export interface Rule {
  /** As the document has it. */
  readonly written: string;
  /** Normalised, without a trailing slash; empty for `/`. */
  readonly prefix: string;
  /** Names of upstreams with a weight above 0; parallel to `weights`. */
  readonly upstreams: readonly string[];
  readonly weights: readonly number[];
  readonly totalWeight: number;
  /** What takes part in its requests alone. */
  readonly phases: readonly Phase[];
}

export class HostRules {
  /** The document's: a host or `*.domain`. */
  readonly name: string;
  readonly document: HostDocument;
  /** What requests meet before the host's scripts. */
  readonly phasesBefore: readonly Phase[];
  /** What they meet then, those of the path rules included. */
  readonly phases: readonly Phase[];
  /** Trailer fields of requests that are passed on; `null`: none. */
  readonly trailers: ReadonlySet<string> | null;
  /** Longest prefix first. */
  readonly #rules: readonly Rule[];
  /** Those of the rules, apart: a search touches no rule but the one it finds. */
  readonly #prefixes: readonly string[];
  /** The rule for everything, when there is no other: then no path needs to be looked at. */
  readonly #catchAll: Rule | null;

  constructor(name: string, document: HostDocument, phases: HostPhases = noPhases) {
    this.name = name;
    this.document = document;
    const { enable, trailers = [] } = document;
    this.trailers = enable && trailers.length > 0 ? new Set(trailers) : null;
    this.#rules = document.enable
      ? document.paths
          .map((rule) => compile(rule, phases.byPath.get(rule.prefix) ?? []))
          .sort((a, b) => b.prefix.length - a.prefix.length)
      : [];
    this.#prefixes = this.#rules.map((rule) => rule.prefix);
    const first = this.#rules[0];
    this.#catchAll = first !== undefined && first.prefix === "" ? first : null;
    this.phasesBefore = enable ? phases.beforeScript : [];
    this.phases = enable ? [...phases.behindScript, ...pathPhases(this, this.#rules)] : [];
  }

  /** Whether a path with an encoded slash is refused; `isMatched`: a script's `match` looks at the path. */
  refusesEncodedSlash(isMatched: boolean): boolean {
    const { encodedSlashes } = this.document;
    if (encodedSlashes !== undefined) return encodedSlashes === "refuse";
    return isMatched || this.#prefixes.some((prefix) => prefix !== "");
  }

  /** The rule with the longest prefix that covers `path`, which is in normal form, by whole segments. */
  find(path: string): Rule | null {
    if (this.#catchAll !== null) return this.#catchAll;
    const prefixes = this.#prefixes;
    if (prefixes.length === 0) return null;
    const asked = comparablePath(path);
    // An indexed loop: an iterator would be an object for each request.
    for (let i = 0; i < prefixes.length; i += 1) {
      const prefix = prefixes[i];
      if (prefix !== undefined && hasPrefix(asked, prefix)) return this.#rules[i] ?? null;
    }
    return null;
  }
}

/** The name of the upstream for one request, by weight; `null` when every share has weight 0. */
export function chooseShare(rule: Rule, random: () => number): string | null {
  const names = rule.upstreams;
  if (names.length < 2) return names[0] ?? null;
  let point = random() * rule.totalWeight;
  for (let i = 0; i < names.length; i += 1) {
    point -= rule.weights[i] ?? 0;
    if (point < 0) return names[i] ?? null;
  }
  return names.at(-1) ?? null;
}

function compile(rule: PathRule, phases: readonly Phase[]): Rule {
  const shares = rule.shares.filter((share) => share.weight > 0);
  return {
    written: rule.prefix,
    prefix: normalisePrefix(rule.prefix),
    upstreams: shares.map((share) => share.upstream),
    weights: shares.map((share) => share.weight),
    totalWeight: shares.reduce((total, share) => total + share.weight, 0),
    phases,
  };
}
