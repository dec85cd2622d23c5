/** Work that waits, by key: keys take turns, however much one of them has. */

export class FairQueue<T> {
  /** In the order of their turns. */
  readonly #keys = new Map<string, T[]>();

  add(key: string, item: T): void {
    const items = this.#keys.get(key);
    if (items === undefined) this.#keys.set(key, [item]);
    else items.push(item);
  }

  /** The oldest of the key whose turn it is, which then waits for all others; `null` when nothing waits. */
  take(): T | null {
    for (const [key, [item, ...rest]] of this.#keys) {
      this.#keys.delete(key);
      if (rest.length > 0) this.#keys.set(key, rest);
      if (item !== undefined) return item;
    }
    return null;
  }

  /** Everything that waits, which waits no more. */
  clear(): readonly T[] {
    const all = [...this.#keys.values()].flat();
    this.#keys.clear();
    return all;
  }
}
