/** A map that keeps what was asked for lately, for keys that strangers choose. */

export class RecentMap<V> {
  readonly #half: number;
  #young = new Map<string, V>();
  #old: ReadonlyMap<string, V> = new Map();

  /** @param most entries that are kept. */
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

  /** What is a part of a request's head should be `detached` before. */
  set(key: string, value: V): void {
    if (this.#young.size >= this.#half) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
  }
}

/** The same text by itself. A part of a longer one, as of a request's head, keeps all of it in memory. ASCII only. */
export function detached(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}
