/**
 * The better one of two that are drawn: that with fewer requests in flight for its weight. Nearly as even as looking
 * at all, at the price of two, and many gateways do not all run to the same peer (Mitzenmacher, "The Power of Two Choices
 * in Randomized Load Balancing").
 */
import type { Filter, Slot } from "../slot.ts";
import { type Policy, type Random, WeightedDraw } from "./policy.ts";

export class PowerOfTwoChoices implements Policy {
  readonly #draw: WeightedDraw;

  constructor(slots: readonly Slot[], random: Random) {
    this.#draw = new WeightedDraw(slots, random);
  }

  choose(filter: Filter): Slot | null {
    const first = this.#draw.draw(filter);
    if (first === null) return null;
    const second = this.#draw.draw(filter);
    if (second === null) return first;
    // Equals by the order in which they were drawn, which is by weight.
    return second.peer.inFlight * first.weight < first.peer.inFlight * second.weight
      ? second
      : first;
  }
}
