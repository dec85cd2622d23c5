/**
 * Decides when a script whose calls were cut short, or failed late, is left alone for a while: such
 * calls may take one part in two hundred of their worker's time in the long run. They are a debt that
 * time pays off; a script that owes more than two whole calls rests until it does not.
 */

/** Of a worker's time. */
const share = 1 / 200;
/** In calls at their limit: an odd one, in which the isolate collected its garbage, denies no other request. */
const allowance = 2;
const maxRestMs = 60_000;

export class Rest {
  readonly #allowedMs: number;
  #owedMs = 0;
  /** When that much was owed, on the clock of the caller. */
  #atMs = 0;
  #untilMs = 0;

  /** @param limitMs of a call. */
  constructor(limitMs: number) {
    this.#allowedMs = allowance * limitMs;
  }

  /** Whether there was one, over or not: nothing else need be asked of most scripts. */
  get wasEver(): boolean {
    return this.#untilMs !== 0;
  }

  isNow(nowMs: number): boolean {
    return nowMs < this.#untilMs;
  }

  /** A call failed that had taken `tookMs`, all that was done for it included. */
  owe(nowMs: number, tookMs: number): void {
    const paidMs = (nowMs - this.#atMs) * share;
    this.#owedMs = Math.max(0, this.#owedMs - paidMs) + tookMs;
    this.#owedMs = Math.min(this.#owedMs, this.#allowedMs + maxRestMs * share);
    this.#atMs = nowMs;
    if (this.#owedMs <= this.#allowedMs) return;
    this.#untilMs = nowMs + restMs(this.#owedMs - this.#allowedMs);
  }
}

/** How long nothing may be called so that `tookMs` is no more than its share. */
export function restMs(tookMs: number): number {
  return tookMs / share;
}
