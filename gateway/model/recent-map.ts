/** A bounded map that keeps the entries that were used lately, for keys that strangers choose. */

export class RecentMap<V> {
  readonly #half: number;
  #young = new Map<string, V>();
  #old: ReadonlyMap<string, V> = new Map();

  /** @param most how many entries are kept. */
  constructor(most: number) {
    this.#half = most / 2;
  }

  get(key: string): V | undefined {
    const value = this.#young.get(key);
    if (value !== undefined || this.#old.size === 0) return value;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  /** A key that is cut from a request's head should be `detached` first. */
  set(key: string, value: V): void {
    if (this.#young.size >= this.#half) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
  }
}

/**
 * Returns a copy that does not share memory: a part of a longer text, such as a request's head, keeps the whole text
 * in memory. For ASCII only.
 */
export function detached(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}
