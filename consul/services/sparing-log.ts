/** Warnings that thousands of services may cause in the same second: some at once, then one every few seconds. */
import type { Clock } from "../watching/clock.ts";
import type { Log } from "../watching/log.ts";
import { Rate } from "../watching/rate.ts";

const atOnce = 20;
const perSecond = 0.2;

export class SparingLog {
  readonly #log: Log;
  readonly #clock: Pick<Clock, "now">;
  readonly #rate: Rate;
  #untold = 0;

  constructor({ log, clock }: { readonly log: Log; readonly clock: Pick<Clock, "now"> }) {
    this.#log = log;
    this.#clock = clock;
    this.#rate = new Rate(perSecond, atOnce, clock.now());
  }

  /** Says how many were left out since the last one. */
  warn(fields: object, message: string): void {
    if (!this.#rate.take(this.#clock.now())) {
      this.#untold += 1;
      return;
    }
    const more = this.#untold === 0 ? "" : ` (and ${this.#untold} more such lines)`;
    this.#untold = 0;
    this.#log.warn(fields, `${message}${more}`);
  }
}
