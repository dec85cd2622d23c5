/** Measures how late this process's event loop is: a timer notes ten times a second how late it fired. */
import { type DelayCounts, delayBounds } from "../model/index.ts";

const intervalMs = 100;

export class LoopDelay {
  readonly #now: () => number;
  readonly #buckets = new Float64Array(delayBounds.length + 1);
  #seconds = 0;
  #timer: NodeJS.Timeout | null = null;
  #dueMs = 0;

  /** `now`: monotonic milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  start(): void {
    this.#dueMs = this.#now() + intervalMs;
    this.#timer = setTimeout(() => this.#tick(), intervalMs);
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** Counts one sample. */
  sample(lateMs: number): void {
    const late = Math.max(0, lateMs) / 1_000;
    const at = delayBounds.findIndex((bound) => late <= bound);
    const bucket = at === -1 ? delayBounds.length : at;
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1;
    this.#seconds += late;
  }

  /** Returns what was counted since the last call. */
  take(): DelayCounts {
    const counts = { buckets: Array.from(this.#buckets), seconds: this.#seconds };
    this.#buckets.fill(0);
    this.#seconds = 0;
    return counts;
  }

  #tick(): void {
    this.sample(this.#now() - this.#dueMs);
    this.start();
  }
}
