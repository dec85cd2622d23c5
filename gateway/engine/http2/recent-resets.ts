/**
 * Remembers which streams this side reset: what comes for them was sent before the other side knew, and is no error
 * (RFC 9113 section 5.1).
 */

/** How many are remembered, however few streams may be open at once. */
const leastRemembered = 256;

export class RecentResets {
  readonly #max: number;
  /** In the order in which they were reset. */
  #ids: Set<number> | null = null;

  /**
   * So many are enough: the other side cannot have more streams open than it may, and those it opens later show that
   * it knows of the earlier resets. Before it knows how many it may have, the flood of refused ones is a bound.
   */
  constructor(maxStreams: number) {
    this.#max = Math.max(maxStreams, leastRemembered);
  }

  has(id: number): boolean {
    return this.#ids?.has(id) === true;
  }

  add(id: number): void {
    this.#ids ??= new Set();
    this.#ids.add(id);
    if (this.#ids.size <= this.#max) return;
    for (const oldest of this.#ids) {
      this.#ids.delete(oldest);
      break;
    }
  }

  /** The other side has ended the stream too, so nothing more can come. */
  delete(id: number): void {
    this.#ids?.delete(id);
  }
}
