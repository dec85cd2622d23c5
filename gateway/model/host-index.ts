/**
 * What is kept by host, where a key may be `*.domain`: the host's own entry, and those of the wildcards that
 * cover it. One pass over a host meets all of its suffixes without making a string of any.
 */
import { maxNameLength } from "../engine/message/authority.ts";

const dot = 0x2e;

interface Wildcard<T> {
  /** With the leading dot. */
  readonly suffix: string;
  readonly value: T;
}

export class HostIndex<T> {
  readonly #entries: ReadonlyMap<string, T>;
  /** By the hash of the suffix, read from its end. */
  readonly #wildcards = new Map<number, Wildcard<T>[]>();

  /** `entries` must not change any more. */
  constructor(entries: ReadonlyMap<string, T> = new Map()) {
    this.#entries = entries;
    for (const [host, value] of entries) {
      if (!host.startsWith("*.")) continue;
      const wildcard = { suffix: host.slice(1), value };
      const hash = hashFromEnd(wildcard.suffix);
      const twins = this.#wildcards.get(hash);
      if (twins === undefined) this.#wildcards.set(hash, [wildcard]);
      else twins.push(wildcard);
    }
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The entry of this very key. */
  get(key: string): T | undefined {
    return this.#entries.get(key);
  }

  values(): IterableIterator<T> {
    return this.#entries.values();
  }

  /**
   * The entry of the site `name`, or that of the longest wildcard over `host`, which is another text for a service
   * (`SiteNames`); `null` when there is none. Allocates nothing.
   */
  find(name: string, host = name): T | null {
    return this.#entries.get(name) ?? this.findWildcard(host, host.length);
  }

  /**
   * The entry of the longest wildcard that covers `host` with a suffix (its key without the `*`) of fewer
   * than `below` characters; `null` when there is none.
   */
  findWildcard(host: string, below: number): T | null {
    if (this.#wildcards.size === 0 || host.length > maxNameLength) return null;
    let longest: T | null = null;
    let hash = 0;
    const end = Math.max(0, host.length - below);
    // A wildcard stands for at least one character, so the first one is never part of a suffix.
    for (let at = host.length - 1; at > end; at -= 1) {
      const code = host.charCodeAt(at);
      hash = step(hash, code);
      if (code !== dot) continue;
      const candidates = this.#wildcards.get(hash);
      if (candidates === undefined) continue;
      for (let i = 0; i < candidates.length; i += 1) {
        const candidate = candidates[i];
        if (candidate === undefined || candidate.suffix.length !== host.length - at) continue;
        if (host.endsWith(candidate.suffix)) longest = candidate.value;
      }
    }
    return longest;
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
