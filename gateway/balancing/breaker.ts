/**
 * The circuit breaker of an upstream. It opens when too many requests fail, and then lets none through for a while.
 * Half open, it lets a few through, and their results close it or open it again. Each worker has its own.
 */
import type { BreakerOptions } from "../model/index.ts";

export type BreakerState = "closed" | "open" | "half_open";

export class Breaker {
  readonly options: BreakerOptions;
  #state: BreakerState = "closed";
  /** When the state began, in monotonic milliseconds. */
  #sinceMs = 0;
  /** How many tries ended and failed in the current interval, and when the interval ends. */
  #ended = 0;
  #failed = 0;
  #endsMs = 0;
  /** Half open: how many requests may still go through, and how many must still go well. */
  #permits = 0;
  #missing = 0;

  /** @param before the breaker from the document's last version, whose state goes on. */
  constructor(options: BreakerOptions, before: Breaker | null) {
    this.options = options;
    if (before === null) return;
    this.#state = before.#state;
    this.#sinceMs = before.#sinceMs;
    this.#permits = before.#permits;
    this.#missing = before.#missing;
  }

  state(nowMs: number): BreakerState {
    if (this.#state === "open" && nowMs - this.#sinceMs >= this.options.openMs) {
      this.#state = "half_open";
      this.#sinceMs = nowMs;
      this.#permits = this.options.probes;
      this.#missing = this.options.probes;
    }
    return this.#state;
  }

  /** Whether a request may go through. Half open, it takes a permit. */
  admit(nowMs: number): boolean {
    const state = this.state(nowMs);
    if (state === "closed") return true;
    if (state === "open" || this.#permits === 0) return false;
    this.#permits -= 1;
    return true;
  }

  /** A request that went through is over. If no try of it counted, another request may have its permit. */
  release(beganMs: number): void {
    if (this.#state === "half_open" && beganMs >= this.#sinceMs && this.#permits < this.#missing)
      this.#permits += 1;
  }

  /** A try that began at `beganMs` is over. Returns whether this changed the state. */
  note(isError: boolean, beganMs: number, nowMs: number): boolean {
    const state = this.state(nowMs);
    // A try that began earlier says nothing about the present.
    if (state === "open" || (state === "half_open" && beganMs < this.#sinceMs)) return false;
    if (state === "half_open") {
      if (isError) return this.#enter("open", nowMs);
      this.#missing -= 1;
      return this.#missing === 0 && this.#enter("closed", nowMs);
    }
    const { intervalMs, minRequests, errorRate } = this.options;
    if (nowMs >= this.#endsMs) {
      this.#ended = 0;
      this.#failed = 0;
      this.#endsMs = nowMs + intervalMs;
    }
    this.#ended += 1;
    if (!isError) return false;
    this.#failed += 1;
    if (this.#ended < minRequests || this.#failed < errorRate * this.#ended) return false;
    return this.#enter("open", nowMs);
  }

  /** Milliseconds until the breaker is half open; 0 when it is not open. */
  remainingMs(nowMs: number): number {
    if (this.state(nowMs) !== "open") return 0;
    return this.#sinceMs + this.options.openMs - nowMs;
  }

  #enter(state: BreakerState, nowMs: number): true {
    this.#state = state;
    this.#sinceMs = nowMs;
    this.#ended = 0;
    this.#failed = 0;
    this.#endsMs = nowMs + this.options.intervalMs;
    return true;
  }
}
