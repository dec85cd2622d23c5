/** The host documents of one version: an exact name first, then the longest `*.` wildcard. */
import type { HostDocument } from "../state/index.ts";
import { HostRules } from "./host-rules.ts";

/** RFC 1035 section 2.3.4: no longer name can be in DNS, and none is looked up by its suffixes. */
const maxNameLength = 253;
const dot = 0x2e;

interface Wildcard {
  /** With the leading dot. */
  readonly suffix: string;
  readonly rules: HostRules;
}

export class Hosts {
  static readonly empty: Hosts = new Hosts(new Map());

  readonly #rules: ReadonlyMap<string, HostRules>;
  /**
   * By the hash of the suffix, read from its end: one pass over a host meets all of its suffixes
   * without making a string of any.
   */
  readonly #wildcards: ReadonlyMap<number, readonly Wildcard[]>;

  private constructor(rules: ReadonlyMap<string, HostRules>) {
    this.#rules = rules;
    const wildcards = new Map<number, Wildcard[]>();
    for (const [host, hostRules] of rules) {
      if (!host.startsWith("*.")) continue;
      const wildcard = { suffix: host.slice(1), rules: hostRules };
      const hash = hashFromEnd(wildcard.suffix);
      const twins = wildcards.get(hash);
      if (twins === undefined) wildcards.set(hash, [wildcard]);
      else twins.push(wildcard);
    }
    this.#wildcards = wildcards;
  }

  /** How many documents there are. */
  get size(): number {
    return this.#rules.size;
  }

  /** The rules for a host; `null` when neither it nor a wildcard has any. Allocates nothing. */
  find(host: string): HostRules | null {
    const exact = this.#rules.get(host);
    if (exact !== undefined) return exact;
    if (this.#wildcards.size === 0 || host.length > maxNameLength) return null;
    let longest: HostRules | null = null;
    let hash = 0;
    // A wildcard stands for at least one character, so the first one is never part of a suffix.
    for (let at = host.length - 1; at > 0; at -= 1) {
      const code = host.charCodeAt(at);
      hash = step(hash, code);
      if (code !== dot) continue;
      const candidates = this.#wildcards.get(hash);
      if (candidates === undefined) continue;
      for (let i = 0; i < candidates.length; i += 1) {
        const candidate = candidates[i];
        if (candidate === undefined || candidate.suffix.length !== host.length - at) continue;
        if (host.endsWith(candidate.suffix)) longest = candidate.rules;
      }
    }
    return longest;
  }

  /**
   * The hosts of `documents`, sharing the rules of those that are the same objects as here. With
   * `changed`, only these keys are looked at; `this` itself when there are none.
   */
  next(documents: ReadonlyMap<string, HostDocument>, changed: ReadonlySet<string> | null): Hosts {
    if (changed?.size === 0) return this;
    const rules = new Map(changed === null ? [] : this.#rules);
    for (const host of changed ?? documents.keys()) {
      const document = documents.get(host);
      const known = this.#rules.get(host);
      if (document === undefined) rules.delete(host);
      else rules.set(host, known?.document === document ? known : new HostRules(document));
    }
    return new Hosts(rules);
  }
}

/** The hash of a suffix, as one pass from the end of a host comes by it. */
export function hashFromEnd(text: string): number {
  let hash = 0;
  for (let at = text.length - 1; at >= 0; at -= 1) hash = step(hash, text.charCodeAt(at));
  return hash;
}

/** FNV-1a over character codes. */
function step(hash: number, code: number): number {
  return Math.imul(hash ^ code, 0x01000193);
}
