/** One level of an upstream: its slots, and who chooses among them. */
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

  /** The slots in the gateway's zone, as a level of their own; `null`: they are none, or all. */
  readonly #near: SlotLevel | null;
  /** So many of these must be available. */
  readonly #leastOfNear: number;

  /** @param zone whose slots come first, in the list too. */
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

  /** @param key the hash of what the request is to stay with; `null`: as the policy says. */
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

  /** Whether so many of its slots are not out. */
  #has(count: number, nowMs: number): boolean {
    const { slots } = this;
    let left = count;
    for (let i = 0; left > 0 && i < slots.length; i += 1)
      if (slots[i]?.isOut(nowMs) === false) left -= 1;
    return left <= 0;
  }
}
