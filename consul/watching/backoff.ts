/** How long to wait after a failure: exponential, capped, with full jitter. */

export interface BackoffLimits {
  readonly baseMs: number;
  readonly maxMs: number;
}

/**
 * The n-th wait is drawn evenly from 0 to `min(maxMs, baseMs * 2^n)`: "full jitter", which spreads
 * many gateways that lost the same Consul best (AWS Architecture Blog, "Exponential Backoff And
 * Jitter").
 */
export class Backoff {
  readonly #limits: BackoffLimits;
  readonly #random: () => number;
  #failures = 0;

  constructor(limits: BackoffLimits, random: () => number) {
    this.#limits = limits;
    this.#random = random;
  }

  /** Milliseconds to wait after one more failure in a row. */
  next(): number {
    const ceiling = Math.min(this.#limits.maxMs, this.#limits.baseMs * 2 ** this.#failures);
    if (ceiling < this.#limits.maxMs) this.#failures += 1;
    return this.#random() * ceiling;
  }

  /** One of several things that are tried has worked: one step back, as others may still fail. */
  ease(): void {
    this.#failures = Math.max(0, this.#failures - 1);
  }

  /** What was tried has worked. */
  reset(): void {
    this.#failures = 0;
  }
}
