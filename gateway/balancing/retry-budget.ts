/**
 * How many requests to an upstream may be sent once more: a share of all, so that in an outage repeated requests do not
 * pile up on what is left. Counted in each worker.
 */
import type { RetryBudgetOptions } from "../model/index.ts";

/** The share is that of the last one to two windows. */
const windowMs = 5_000;

export const defaultRetryBudget: RetryBudgetOptions = { share: 0.2, minPerSecond: 10 };

export class RetryBudget {
  readonly options: RetryBudgetOptions;
  /** Monotonic: when the current window ends. */
  #endsMs = 0;
  #requests = 0;
  #requestsBefore = 0;
  #retries = 0;
  #retriesBefore = 0;

  constructor(options: RetryBudgetOptions) {
    this.options = options;
  }

  /** A request begins. */
  count(nowMs: number): void {
    if (nowMs >= this.#endsMs) this.#turn(nowMs);
    this.#requests += 1;
  }

  /** Whether one more may be repeated; if so it is counted. */
  take(nowMs: number): boolean {
    if (nowMs >= this.#endsMs) this.#turn(nowMs);
    if (this.#retries + this.#retriesBefore >= this.most) return false;
    this.#retries += 1;
    return true;
  }

  /** How many may be repeated in the current windows, and how many were. */
  get most(): number {
    const { share, minPerSecond } = this.options;
    const always = (minPerSecond * 2 * windowMs) / 1_000;
    return Math.max(always, share * (this.#requests + this.#requestsBefore));
  }

  get taken(): number {
    return this.#retries + this.#retriesBefore;
  }

  #turn(nowMs: number): void {
    const isNext = nowMs < this.#endsMs + windowMs;
    this.#requestsBefore = isNext ? this.#requests : 0;
    this.#retriesBefore = isNext ? this.#retries : 0;
    this.#requests = 0;
    this.#retries = 0;
    this.#endsMs = nowMs + windowMs;
  }
}
