/** Workers that end as soon as they start: how long a place waits before it gets another one. */

const quickDeathMs = 1000;
const firstBackoffMs = 100;
const maxBackoffMs = 5000;
/** After so many quick deaths in one place, with nobody listening yet, another try will not help. */
const maxDeathsAtStart = 5;

export interface Refill {
  /** 0: at once. */
  readonly delayMs: number;
  /** For a gateway that has not served yet. */
  readonly shouldGiveUp: boolean;
}

export class QuickDeaths {
  /** In a row, by place. */
  readonly #deaths = new Map<number, number>();

  /** A worker in this place has ended after it lived for so long. */
  note(slot: number, livedMs: number): Refill {
    const deaths = livedMs < quickDeathMs ? (this.#deaths.get(slot) ?? 0) + 1 : 0;
    this.#deaths.set(slot, deaths);
    const delayMs = deaths <= 1 ? 0 : Math.min(maxBackoffMs, firstBackoffMs * 2 ** (deaths - 2));
    return { delayMs, shouldGiveUp: deaths >= maxDeathsAtStart };
  }
}
