/** One level of an upstream: its slots, and who chooses among them. */
import type { PolicyName } from "../model/index.ts";
import type { Filter } from "./filter.ts";
import { isQuicker } from "./policies/ewma.ts";
import { KeyHash } from "./policies/hash.ts";
import { LeastConnections } from "./policies/least-conn.ts";
import { isLessLoaded } from "./policies/p2c.ts";
import { BetterOfTwo, type Policy, type Random } from "./policies/policy.ts";
import { RandomChoice } from "./policies/random.ts";
import { WeightedRoundRobin } from "./policies/wrr.ts";
import type { Slot } from "./slot.ts";
import type { Turns } from "./turns.ts";

/** `hash` is about requests with a key; those without one take turns. */
const policies: Readonly<
  Record<PolicyName, (slots: readonly Slot[], turns: Turns, random: Random) => Policy>
> = {
  wrr: (slots, turns) => new WeightedRoundRobin(slots, turns),
  hash: (slots, turns) => new WeightedRoundRobin(slots, turns),
  least_conn: (slots, turns) => new LeastConnections(slots, turns),
  p2c: (slots, _turns, random) => new BetterOfTwo(slots, random, isLessLoaded),
  ewma: (slots, _turns, random) => new BetterOfTwo(slots, random, isQuicker),
  random: (slots, _turns, random) => new RandomChoice(slots, random),
};

export class SlotLevel {
  readonly slots: readonly Slot[];
  readonly #policy: Policy;
  /** Made when the first request has a key. */
  #hash: KeyHash | null = null;

  constructor(slots: readonly Slot[], turns: Turns, policy: PolicyName, random: Random) {
    this.slots = slots;
    this.#policy = policies[policy](slots, turns, random);
  }

  dispose(): void {
    this.#policy.dispose?.();
  }

  /** @param key the hash of what the request is to stay with; `null`: as the policy says. */
  choose(filter: Filter, key: number | null): Slot | null {
    if (key === null) return this.#policy.choose(filter);
    this.#hash ??= new KeyHash(this.slots);
    return this.#hash.choose(filter, key);
  }
}
