/**
 * The contract of balancing policies: which of the slots of one level gets the next try. Health is not theirs: a filter in
 * front of them says which slots there are.
 */
import type { Filter } from "../filter.ts";
import type { Slot } from "../slot.ts";

export interface Policy {
  /** One of its slots that the filter has; `null` when there is none. Allocates nothing. */
  choose(filter: Filter): Slot | null;
  /** Its upstream is not part of a version any more; whoever still holds it may go on to ask. */
  dispose?(): void;
}

/** Numbers in [0, 1). */
export type Random = () => number;

/**
 * The better one of two that are drawn by weight: nearly as even as looking at all, at the price of two, and many gateways do
 * not all run to the same peer (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing").
 */
export class BetterOfTwo implements Policy {
  readonly #draw: WeightedDraw;
  readonly #isBetter: IsBetter;

  constructor(slots: readonly Slot[], random: Random, isBetter: IsBetter) {
    this.#draw = new WeightedDraw(slots, random);
    this.#isBetter = isBetter;
  }

  choose(filter: Filter): Slot | null {
    const first = this.#draw.draw(filter);
    if (first === null) return null;
    const second = this.#draw.draw(filter);
    if (second === null) return first;
    return this.#isBetter(second, first, filter.nowMs) ? second : first;
  }
}

/** Whether `second` is to be taken instead of `first`; of equals the first is, so that the draw decides. */
export type IsBetter = (second: Slot, first: Slot, nowMs: number) => boolean;

/** So many draws may find a slot that the filter does not have; then all are looked at. */
const mostDraws = 4;

/** Draws slots at random, each as often as its weight says. */
export class WeightedDraw {
  readonly #slots: readonly Slot[];
  readonly #random: Random;
  /** Sums of the weights up to and with each slot; empty when all have the same weight. */
  readonly #sums: Float64Array;
  readonly #total: number;

  constructor(slots: readonly Slot[], random: Random) {
    this.#slots = slots;
    this.#random = random;
    const isEven = slots.every(({ weight }) => weight === slots[0]?.weight);
    this.#sums = new Float64Array(isEven ? 0 : slots.length);
    let total = 0;
    for (const [at, { weight }] of slots.entries()) {
      total += weight;
      if (!isEven) this.#sums[at] = total;
    }
    this.#total = total;
  }

  /** `null` when the filter has none. */
  draw(filter: Filter): Slot | null {
    for (let tries = 0; tries < mostDraws; tries += 1) {
      const slot = this.#any();
      if (slot === null || filter.has(slot)) return slot;
    }
    return this.#drawAmong(filter);
  }

  #any(): Slot | null {
    const slots = this.#slots;
    if (this.#sums.length === 0) return slots[Math.floor(this.#random() * slots.length)] ?? null;
    const point = this.#random() * this.#total;
    let low = 0;
    let high = slots.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#sums[middle] ?? 0) > point) high = middle;
      else low = middle + 1;
    }
    return slots[low] ?? null;
  }

  /** One pass: each slot takes the place of the one before with the chance that its weight gives it. */
  #drawAmong(filter: Filter): Slot | null {
    let chosen: Slot | null = null;
    let total = 0;
    for (let i = 0; i < this.#slots.length; i += 1) {
      const slot = this.#slots[i];
      if (slot === undefined) break;
      if (!filter.has(slot)) continue;
      total += slot.weight;
      if (this.#random() * total < slot.weight) chosen = slot;
    }
    return chosen;
  }
}
