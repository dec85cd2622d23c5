/**
 * How many requests to an upstream may be sent again: a share of all requests, so that repeated requests do not
 * overload the remaining servers in an outage. Each worker counts its own.
 */
import type { RetryBudgetOptions } from "../model/index.ts";

/** The share applies to the requests in the last one to two windows. */
const windowMs = 5_000;

export const defaultRetryBudget: RetryBudgetOptions = { share: 0.2, minPerSecond: 10 };

export class RetryBudget {
  readonly options: RetryBudgetOptions;
  /** When the current window ends, in monotonic milliseconds. */
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

  /** Whether one more request may be repeated. If so, counts it. */
  take(nowMs: number): boolean {
    if (nowMs >= this.#endsMs) this.#turn(nowMs);
    if (this.#retries + this.#retriesBefore >= this.most) return false;
    this.#retries += 1;
    return true;
  }

  /** How many requests may be repeated in the current windows. `taken` is how many were. */
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
