/**
 * Picks the slot that wins a key by rendezvous hashing. All workers of all gateways pick the same slot as long as it
 * is there. When one leaves, only its own keys move. The next try goes to the next best slot.
 */
import type { Filter } from "../filter.ts";
import type { Slot } from "../slot.ts";
import { combined, mix, scoreOf } from "./rendezvous.ts";

/** The slots with one weight. Among them a higher hash means a higher score, so no score has to be computed. */
interface WeightClass {
  readonly slots: readonly Slot[];
  /** Each slot's hash, mixed. */
  readonly keys: Int32Array;
}

export class KeyHash {
  readonly #classes: readonly WeightClass[];

  constructor(slots: readonly Slot[]) {
    this.#classes = [...Map.groupBy(slots, ({ weight }) => weight).values()].map((alike) => ({
      slots: alike,
      keys: Int32Array.from(alike, ({ keyHash }) => mix(keyHash)),
    }));
  }

  /** @param key the hash of the key. */
  choose(filter: Filter, key: number): Slot | null {
    const classes = this.#classes;
    let best: Slot | null = null;
    let bestScore = -1;
    for (let i = 0; i < classes.length; i += 1) {
      const slot = strongestOf(classes[i], filter, key);
      if (slot === null) continue;
      const score = classes.length === 1 ? 0 : scoreOf(key, slot.keyHash, slot.weight);
      if (score <= bestScore) continue;
      best = slot;
      bestScore = score;
    }
    return best;
  }
}

/** Among slots with one weight the highest hash wins, so the filter is asked only about those that beat all before. */
function strongestOf(one: WeightClass | undefined, filter: Filter, key: number): Slot | null {
  if (one === undefined) return null;
  const { slots, keys } = one;
  const mixed = mix(key);
  let best: Slot | null = null;
  let bestHash = -0x80000000;
  for (let at = 0; ; at += 1) {
    at = nextFrom(at, keys, mixed, bestHash);
    const slot = slots[at];
    if (slot === undefined) return best;
    if (!filter.has(slot)) continue;
    best = slot;
    bestHash = combined(mixed, keys[at] ?? 0);
  }
}

/**
 * The first place from `at` on whose hash is not below `least`. A loop of its own, because with anything else in it
 * the same loop takes three times as long.
 */
function nextFrom(start: number, keys: Int32Array, mixed: number, least: number): number {
  let at = start;
  while (at < keys.length && combined(mixed, keys[at] ?? 0) < least) at += 1;
  return at;
}
