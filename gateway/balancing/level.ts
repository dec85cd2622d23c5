/** One level of an upstream: its slots, and the policy that chooses among them. */
import type { NearZone, PolicyName } from "../model/index.ts";
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

/** `hash` applies to requests with a key; those without one take turns. */
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
  /** Made for the first request with a key. */
  #hash: KeyHash | null = null;

  /** The slots in the gateway's zone, as a level of their own; `null` when none or all of them are in it. */
  readonly #near: SlotLevel | null;
  /** How many of the near slots must be available for the near level to be used. */
  readonly #leastOfNear: number;

  /** @param zone the zone whose slots come first. The caller has put them first in the list. */
  constructor(
    slots: readonly Slot[],
    turns: Turns,
    policy: PolicyName,
    random: Random,
    zone: NearZone | null,
  ) {
    this.slots = slots;
    this.#policy = policies[policy](slots, turns, random);
    const near = zone === null ? [] : slots.filter((slot) => slot.zone === zone.name);
    const isPart = near.length > 0 && near.length < slots.length;
    this.#near = isPart ? new SlotLevel(near, turns, policy, random, null) : null;
    this.#leastOfNear = Math.max(1, Math.ceil(near.length * (zone?.minAvailable ?? 0)));
  }

  dispose(): void {
    this.#near?.dispose();
    this.#policy.dispose?.();
  }

  /** @param key the hash of what the request has to stay with; `null`: the policy decides. */
  choose(filter: Filter, key: number | null): Slot | null {
    const near = this.#near;
    if (near !== null && (filter.isWell || near.#has(this.#leastOfNear, filter.nowMs))) {
      const slot = near.choose(filter, key);
      if (slot !== null) return slot;
    }
    if (key === null) return this.#policy.choose(filter);
    this.#hash ??= new KeyHash(this.slots);
    return this.#hash.choose(filter, key);
  }

  /** Whether at least so many of its slots are not out. */
  #has(count: number, nowMs: number): boolean {
    const { slots } = this;
    let left = count;
    for (let i = 0; left > 0 && i < slots.length; i += 1)
      if (slots[i]?.isOut(nowMs) === false) left -= 1;
    return left <= 0;
  }
}
