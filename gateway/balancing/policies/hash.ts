/**
 * Picks the slot that wins a key by rendezvous hashing. All workers of all gateways pick the same slot as long as it
 * is there. When one leaves, only its own keys move. The next try goes to the next best slot.
 */
import type { Filter } from "../filter.ts";
import type { Slot } from "../slot.ts";
import { mixedKeys, scoreOf, strongest } from "./rendezvous.ts";

/** The slots with one weight. Among them a higher hash means a higher score, so no score has to be computed. */
interface WeightClass {
  readonly slots: readonly Slot[];
  readonly keys: Int32Array;
}

export class KeyHash {
  readonly #slots: readonly Slot[];
  readonly #classes: readonly WeightClass[];

  constructor(slots: readonly Slot[]) {
    this.#slots = slots;
    this.#classes = [...Map.groupBy(slots, ({ weight }) => weight).values()].map((alike) => ({
      slots: alike,
      keys: mixedKeys(alike.map(({ keyHash }) => keyHash)),
    }));
  }

  /** @param key the hash of the key. */
  choose(filter: Filter, key: number): Slot | null {
    const classes = this.#classes;
    let best: Slot | null = null;
    let bestScore = -1;
    for (let i = 0; i < classes.length; i += 1) {
      const one = classes[i];
      if (one === undefined) break;
      const slot = one.slots[strongest(one.keys, key)];
      if (slot === undefined) continue;
      // The winner may not be picked: looking for the next best takes a look at each slot.
      if (!filter.has(slot)) return this.#bestAllowed(filter, key);
      const score = classes.length === 1 ? 0 : scoreOf(key, slot.keyHash, slot.weight);
      if (score <= bestScore) continue;
      best = slot;
      bestScore = score;
    }
    return best;
  }

  #bestAllowed(filter: Filter, key: number): Slot | null {
    let best: Slot | null = null;
    let bestScore = -1;
    for (let i = 0; i < this.#slots.length; i += 1) {
      const slot = this.#slots[i];
      if (slot === undefined) break;
      if (!filter.has(slot)) continue;
      const score = scoreOf(key, slot.keyHash, slot.weight);
      if (score <= bestScore) continue;
      best = slot;
      bestScore = score;
    }
    return best;
  }
}
