/**
 * Logs that headers were dropped for their names: at most once a minute, since anybody can send such requests as
 * often as they like.
 */
import type { Log } from "../observability/logger.ts";

const quietMs = 60_000;

export class DroppedHeaderLog {
  readonly #log: Log;
  readonly #now: () => number;
  #told = 0;
  #quietUntilMs = Number.NEGATIVE_INFINITY;

  /** `now`: monotonic milliseconds. */
  constructor(log: Log, now: () => number) {
    this.#log = log;
    this.#now = now;
  }

  /** `dropped`: how many headers were dropped since the worker started. */
  report(dropped: number): void {
    if (dropped === this.#told) return;
    const now = this.#now();
    if (now < this.#quietUntilMs) return;
    this.#log.warn(
      { dropped: dropped - this.#told },
      "header lines were dropped because of their names: see --underscores-in-headers and --ignore-invalid-headers",
    );
    this.#told = dropped;
    this.#quietUntilMs = now + quietMs;
  }
}
