/**
 * The better one of two that are drawn, by latency: a moving average that follows a rise at once and forgets it slowly, times
 * the requests that are in flight and this one ("peak EWMA", as in Finagle's load balancers).
 */
import type { Member } from "../peer-book.ts";
import type { Filter, Slot } from "../slot.ts";
import { type Policy, type Random, WeightedDraw } from "./policy.ts";

/** Otherwise a peer that is slower by a trifle would lose every comparison; the draw, which is by weight, decides. */
const clearlyLess = 0.9;

export class PeakEwma implements Policy {
  readonly #draw: WeightedDraw;

  constructor(slots: readonly Slot[], random: Random) {
    this.#draw = new WeightedDraw(slots, random);
  }

  choose(filter: Filter): Slot | null {
    const first = this.#draw.draw(filter);
    if (first === null) return null;
    const second = this.#draw.draw(filter);
    if (second === null) return first;
    const limit = costOf(first, filter.nowMs) * clearlyLess;
    return costOf(second, filter.nowMs) < limit ? second : first;
  }
}

/**
 * A peer that is not asked becomes cheaper with time, so that it is tried again. One that has not answered yet costs what
 * it has in flight, so that not everybody tries it at once.
 */
function costOf({ peer, member, weight }: Slot, nowMs: number): number {
  const load = peer.inFlight / weight;
  return member.peakMs * keptPart(member, nowMs) * (1 + load) + load;
}

/** How long a peak counts: after this, a third of it. */
const forgetMs = 10_000;

/** An answer took so long; `nowMs` is when it ended, on a clock that does not go back. */
export function observeLatency(member: Member, tookMs: number, nowMs: number): void {
  if (tookMs > member.peakMs) member.peakMs = tookMs;
  else {
    const kept = keptPart(member, nowMs);
    member.peakMs = member.peakMs * kept + tookMs * (1 - kept);
  }
  member.peakAtMs = nowMs;
}

function keptPart({ peakAtMs }: Member, nowMs: number): number {
  return Math.exp(-Math.max(0, nowMs - peakAtMs) / forgetMs);
}
