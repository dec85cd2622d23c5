/**
 * A map whose versions are values of their own, each sharing with the one before what did not change. Changing one
 * entry among 10,000 costs as much as changing one among a few hundred.
 */

/**
 * How many entries the upper layer may have. Beyond that, both layers are merged, which costs as much as copying all
 * entries.
 */
const mostAbove = 256;

/** Marks an entry that the lower layer has and this version does not. */
const gone = Symbol("gone");

export class LayeredMap<V> implements ReadonlyMap<string, V> {
  readonly size: number;
  readonly #below: ReadonlyMap<string, V>;
  readonly #above: ReadonlyMap<string, V | typeof gone>;

  /** @param below must not change any more. */
  constructor(
    below: ReadonlyMap<string, V> = new Map(),
    above: ReadonlyMap<string, V | typeof gone> = new Map(),
    size: number = below.size,
  ) {
    this.#below = below;
    this.#above = above;
    this.size = size;
  }

  get(key: string): V | undefined {
    if (this.#above.size === 0) return this.#below.get(key);
    const value = this.#above.get(key);
    if (value === undefined) return this.#below.get(key);
    return value === gone ? undefined : value;
  }

  has(key: string): boolean {
    const value = this.#above.get(key);
    return value === undefined ? this.#below.has(key) : value !== gone;
  }

  /** Returns the next version. A value of `null` removes the entry. */
  with(changes: Iterable<readonly [key: string, value: V | null]>): LayeredMap<V> {
    const above = new Map(this.#above);
    let { size } = this;
    const has = (key: string) => (above.has(key) ? above.get(key) !== gone : this.#below.has(key));
    for (const [key, value] of changes) {
      if (has(key) !== (value !== null)) size += value === null ? -1 : 1;
      above.set(key, value === null ? gone : value);
    }
    if (above.size <= mostAbove) return new LayeredMap(this.#below, above, size);
    const below = new Map(this.#below);
    for (const [key, value] of above) {
      if (value === gone) below.delete(key);
      else below.set(key, value);
    }
    return new LayeredMap(below);
  }

  *entries(): MapIterator<[string, V]> {
    for (const [key, value] of this.#below) if (!this.#above.has(key)) yield [key, value];
    for (const [key, value] of this.#above) if (value !== gone) yield [key, value];
  }

  *keys(): MapIterator<string> {
    for (const [key] of this.entries()) yield key;
  }

  *values(): MapIterator<V> {
    for (const [, value] of this.entries()) yield value;
  }

  [Symbol.iterator](): MapIterator<[string, V]> {
    return this.entries();
  }

  forEach(callback: (value: V, key: string, map: ReadonlyMap<string, V>) => void): void {
    for (const [key, value] of this.entries()) callback(value, key, this);
  }
}
