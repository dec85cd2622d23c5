/**
 * Decides when a script that keeps running out of time or memory is left alone for a while, so that it
 * takes no more from the other requests of its worker than it already has.
 */

/** So many calls that were cut short in a row, each within `forgetMs` of the one before. */
const patience = 5;
/** So long beyond its limit V8 was not interrupted and everybody had to wait: once is enough. */
const overrunMs = 100;
const forgetMs = 60_000;
const firstRestMs = 500;
const maxRestMs = 30_000;

export class Rest {
  /** On the clock of the caller; 0 when there was none. */
  #untilMs = 0;
  #cuts = 0;
  #lastCutMs = Number.NEGATIVE_INFINITY;

  /** Whether there was one, over or not: nothing else need be asked of most scripts. */
  get wasEver(): boolean {
    return this.#untilMs !== 0;
  }

  isNow(nowMs: number): boolean {
    return nowMs < this.#untilMs;
  }

  /** A call was cut short; `wasOverrun` by `isOverrun`. */
  cut(nowMs: number, wasOverrun: boolean): void {
    if (nowMs - this.#lastCutMs > forgetMs) this.#cuts = 0;
    this.#lastCutMs = nowMs;
    this.#cuts += wasOverrun ? patience : 1;
    if (this.#cuts < patience) return;
    this.#untilMs = nowMs + Math.min(maxRestMs, firstRestMs * 2 ** (this.#cuts - patience));
  }
}

/** Whether a call that was limited to `limitMs` went on so long that nothing can have ended it in time. */
export function isOverrun(lastedMs: number, limitMs: number): boolean {
  return lastedMs - limitMs >= overrunMs;
}
