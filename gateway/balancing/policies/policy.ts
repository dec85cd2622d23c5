/**
 * The contract of balancing policies: which slot of one level gets the next try. Policies know nothing about health:
 * a filter in front of them says which slots may be picked.
 */
import type { Filter } from "../filter.ts";
import type { Slot } from "../slot.ts";

export interface Policy {
  /** Returns one of the level's slots that the filter has; `null` when there is none. Allocates nothing. */
  choose(filter: Filter): Slot | null;
  /** The upstream belongs to no version any more. Requests that still hold it may go on asking. */
  dispose?(): void;
}

/** Returns numbers in [0, 1). */
export type Random = () => number;

/**
 * Picks the better one of two slots drawn by weight. This is nearly as even as looking at all of them, costs only two
 * looks, and keeps many gateways from all running to the same peer (Mitzenmacher, "The Power of Two Choices in
 * Randomized Load Balancing").
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

/** Whether to take `second` instead of `first`. Return false for equal slots, so that the draw decides. */
export type IsBetter = (second: Slot, first: Slot, nowMs: number) => boolean;

/**
 * After so many draws of slots that the filter does not have, all slots are looked at. With half of the slots out that
 * is rare enough not to matter, even where a look at all of them costs a hundred draws.
 */
const mostDraws = 16;

/** Draws slots at random, in proportion to their weights. */
export class WeightedDraw {
  readonly #slots: readonly Slot[];
  readonly #random: Random;
  /** For each slot, the sum of the weights up to and including its own; empty when all weights are equal. */
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

  /** Returns `null` when the filter has no slot. */
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

  /** Draws in one pass: each slot replaces the one before with the probability that its weight gives it. */
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
