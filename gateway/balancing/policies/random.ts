/** Picks slots at random, in proportion to their weights. */
import type { Filter } from "../filter.ts";
import type { Slot } from "../slot.ts";
import { type Policy, type Random, WeightedDraw } from "./policy.ts";

export class RandomChoice implements Policy {
  readonly #draw: WeightedDraw;

  constructor(slots: readonly Slot[], random: Random) {
    this.#draw = new WeightedDraw(slots, random);
  }

  choose(filter: Filter): Slot | null {
    return this.#draw.draw(filter);
  }
}
