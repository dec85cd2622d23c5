/**
 * The sides that share the requests of a path or route, and which of them a request belongs to. It knows names, not
 * upstreams.
 */
import { hashOf, scoreOf } from "../balancing/index.ts";
import type { Share } from "../model/index.ts";
import { Requirements } from "./conditions.ts";
import { weightAt } from "./ramp.ts";
import { RequestValues, type RoutedRequest } from "./request-values.ts";
import { InstanceSubset } from "./subset.ts";

export interface Side {
  readonly name: string;
  /** The name of an upstream document or of a service. */
  readonly upstream: string;
  /** The subset of the upstream's service; `null`: all of it. */
  readonly subset: InstanceSubset | null;
  /** Requests that meet one of these go to this side, whatever its weight. */
  readonly forced: readonly Requirements[];
  readonly share: Share;
  readonly hash: number;
}

/** What in the request determined its side. */
export type SideReason = "forced" | "cookie" | "hash";

/** How long a share may lag behind its ramp. */
const rampIntervalMs = 1_000;

const nothing: readonly Requirements[] = [];

export class Split {
  /** The sides that some request may belong to. */
  readonly sides: readonly Side[];
  /** Parallel to `sides`. The weights follow the ramps. */
  readonly #weights: number[];
  #total: number;
  /** `null` when no side is forced. */
  readonly #values: RequestValues | null;
  readonly #hasRamp: boolean;
  #rampedAtMs = Number.NEGATIVE_INFINITY;

  /** @param only the side that was already made for the one open share, if there is only one. */
  constructor(shares: readonly Share[], only: Side | null) {
    this.sides = only === null ? shares.filter(isOpenTo).map(createSide) : [only];
    this.#weights = this.sides.map(({ share }) => share.weight);
    this.#total = sum(this.#weights);
    const hasForced = this.sides.some(({ forced }) => forced.length > 0);
    this.#values = hasForced ? new RequestValues() : null;
    this.#hasRamp = this.sides.some(({ share }) => share.ramp !== undefined);
  }

  /** Sets the weights of growing shares to those at this date. */
  follow(date: () => number): void {
    if (!this.#hasRamp) return;
    const dateMs = date();
    const passed = dateMs - this.#rampedAtMs;
    if (passed >= 0 && passed < rampIntervalMs) return;
    this.#rampedAtMs = dateMs;
    for (const [at, { share }] of this.sides.entries()) this.#weights[at] = weightAt(share, dateMs);
    this.#total = sum(this.#weights);
  }

  /** Parallel to `sides`. */
  get weights(): readonly number[] {
    return this.#weights;
  }

  /** The side that the request asks for; `null`: the shares decide. */
  forced(request: RoutedRequest): Side | null {
    const values = this.#values;
    if (values === null) return null;
    values.begin(request);
    for (let i = 0; i < this.sides.length; i += 1) {
      const side = this.sides[i];
      if (side === undefined) break;
      for (let at = 0; at < side.forced.length; at += 1)
        if (side.forced[at]?.areMetBy(request, values) === true) return side;
    }
    return null;
  }

  /** Whether its share is above 0, so that requests come to it. */
  isOpen(side: Side): boolean {
    return (this.#weights[this.sides.indexOf(side)] ?? 0) > 0;
  }

  /** Draws a side by weight; `null` when all weights are 0. `isUsable` leaves out sides. */
  draw(random: () => number, isUsable: ((side: Side) => boolean) | null = null): Side | null {
    const sides = this.sides;
    let total = this.#total;
    if (isUsable !== null) {
      total = 0;
      for (let i = 0; i < sides.length; i += 1) {
        const side = sides[i];
        if (side !== undefined && isUsable(side)) total += this.#weights[i] ?? 0;
      }
    }
    let point = random() * total;
    let last: Side | null = null;
    for (let i = 0; i < sides.length; i += 1) {
      const side = sides[i];
      const weight = this.#weights[i] ?? 0;
      if (side === undefined || weight <= 0) continue;
      if (isUsable !== null && !isUsable(side)) continue;
      last = side;
      point -= weight;
      if (point < 0) return side;
    }
    return last;
  }

  /**
   * The side for a key. It is always the same one, and each side gets keys in proportion to its weight. A side whose
   * share grows takes keys from the others and loses none.
   */
  ofKey(key: string, isUsable: ((side: Side) => boolean) | null = null): Side | null {
    const hash = hashOf(key);
    let best: Side | null = null;
    let bestScore = 0;
    for (let i = 0; i < this.sides.length; i += 1) {
      const side = this.sides[i];
      const weight = this.#weights[i] ?? 0;
      if (side === undefined || weight <= 0) continue;
      if (isUsable !== null && !isUsable(side)) continue;
      const score = scoreOf(hash, side.hash, weight);
      if (best !== null && score <= bestScore) continue;
      best = side;
      bestScore = score;
    }
    return best;
  }
}

/** Whether some request may belong to the share. */
export function isOpenTo({ weight, forced, ramp }: Share): boolean {
  return weight > 0 || forced !== undefined || ramp !== undefined;
}

export function createSide(share: Share): Side {
  const name = share.name ?? share.upstream;
  return {
    name,
    upstream: share.upstream,
    subset: subsetOf(share),
    forced: share.forced?.map((conditions) => new Requirements(conditions)) ?? nothing,
    share,
    hash: hashOf(name),
  };
}

function subsetOf({ subset, transport }: Share): InstanceSubset | null {
  if (subset === undefined && transport === undefined) return null;
  return new InstanceSubset(subset ?? {}, transport ?? null);
}

function sum(weights: readonly number[]): number {
  return weights.reduce((total, weight) => total + weight, 0);
}
