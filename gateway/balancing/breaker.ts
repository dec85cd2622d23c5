/**
 * The circuit breaker of an upstream: open, it lets no request through for a while, since too many failed; half open, a
 * few, and by them it closes or opens again. Each worker has its own.
 */
import type { BreakerOptions } from "../model/index.ts";

export type BreakerState = "closed" | "open" | "half_open";

export class Breaker {
  readonly options: BreakerOptions;
  #state: BreakerState = "closed";
  /** Monotonic: when the state began. */
  #sinceMs = 0;
  /** Of the current interval, and when that ends. */
  #ended = 0;
  #failed = 0;
  #endsMs = 0;
  /** Half open: requests that may still go through, and good ends that are still to come. */
  #permits = 0;
  #missing = 0;

  /** @param before of the document that this one replaces: its state goes on. */
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

  /** Whether a request may go through; half open, it takes a permit. */
  admit(nowMs: number): boolean {
    const state = this.state(nowMs);
    if (state === "closed") return true;
    if (state === "open" || this.#permits === 0) return false;
    this.#permits -= 1;
    return true;
  }

  /** A request that went through is over, and perhaps was never tried: another may have its permit. */
  release(beganMs: number): void {
    if (this.#state === "half_open" && beganMs >= this.#sinceMs && this.#permits < this.#missing)
      this.#permits += 1;
  }

  /** A try that began at `beganMs` is over. Returns whether the state changed with that. */
  note(isError: boolean, beganMs: number, nowMs: number): boolean {
    const state = this.state(nowMs);
    // What began before says nothing of how it is now.
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

  /** How long it stays open; 0: it is not open. */
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
