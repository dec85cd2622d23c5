/**
 * Smooth weighted round robin, nginx's default: in each round a slot has as many turns as its weight, spread as
 * evenly as possible.
 */
import type { Filter } from "../filter.ts";
import type { Slot } from "../slot.ts";
import type { Turns } from "../turns.ts";
import type { Policy } from "./policy.ts";

export class WeightedRoundRobin implements Policy {
  readonly #slots: readonly Slot[];
  readonly #turns: Turns;

  constructor(slots: readonly Slot[], turns: Turns) {
    this.#slots = slots;
    this.#turns = turns;
  }

  choose(filter: Filter): Slot | null {
    return this.#turns.next(this.#slots, filter);
  }
}
