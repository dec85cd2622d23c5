/** How much may be done in a time: earned evenly, kept up to a bound. */
export class Rate {
  readonly #perSecond: number;
  readonly #most: number;
  #credit: number;
  #at: number;

  constructor(perSecond: number, most: number, now: number) {
    this.#perSecond = perSecond;
    this.#most = most;
    this.#credit = most;
    this.#at = now;
  }

  take(now: number): boolean {
    const earned = (Math.max(0, now - this.#at) / 1000) * this.#perSecond;
    this.#credit = Math.min(this.#most, this.#credit + earned);
    this.#at = now;
    if (this.#credit < 1) return false;
    this.#credit -= 1;
    return true;
  }
}
