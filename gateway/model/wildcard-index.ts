/**
 * Values kept by `*.domain`: finds those that cover a host. One pass over the host meets all its suffixes without
 * making a string for any of them.
 */
import { maxNameLength } from "../engine/message/authority.ts";

const dot = 0x2e;

interface Wildcard<T> {
  /** With the leading dot. */
  readonly suffix: string;
  readonly value: T;
}

export class WildcardIndex<T> {
  /** By the hash of the suffix, computed from its end. */
  readonly #wildcards: Map<number, readonly Wildcard<T>[]>;

  /** @param from what it begins with; it is not changed. */
  constructor(from: WildcardIndex<T> | null = null) {
    this.#wildcards = from === null ? new Map() : new Map(from.#wildcards);
  }

  /** `key`: `*.domain`. A `null` value removes it. */
  set(key: string, value: T | null): void {
    const suffix = key.slice(1);
    const hash = hashFromEnd(suffix);
    const twins = this.#wildcards.get(hash)?.filter((one) => one.suffix !== suffix) ?? [];
    const all = value === null ? twins : [...twins, { suffix, value }];
    if (all.length === 0) this.#wildcards.delete(hash);
    else this.#wildcards.set(hash, all);
  }

  /**
   * The value of the longest wildcard that covers `host` with a suffix (its key without the `*`) of fewer than `below`
   * characters; `null` when there is none. Allocates nothing.
   */
  find(host: string, below: number = host.length): T | null {
    if (this.#wildcards.size === 0 || host.length > maxNameLength) return null;
    let longest: T | null = null;
    let hash = 0;
    const end = Math.max(0, host.length - below);
    // A wildcard stands for at least one character, so the host's first character is never part of a suffix.
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

/** The hash of a suffix, as a pass from the end of a host computes it. */
export function hashFromEnd(text: string): number {
  let hash = 0;
  for (let at = text.length - 1; at >= 0; at -= 1) hash = step(hash, text.charCodeAt(at));
  return hash;
}

/** FNV-1a over character codes. */
function step(hash: number, code: number): number {
  return Math.imul(hash ^ code, 0x01000193);
}
