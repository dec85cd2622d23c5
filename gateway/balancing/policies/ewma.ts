/**
 * Of two that are drawn the one that answers sooner: a moving average that follows a rise at once and forgets it slowly, times
 * the requests that are in flight and this one ("peak EWMA", as in Finagle's load balancers).
 */
import type { Member } from "../peer-book.ts";
import type { Slot } from "../slot.ts";
import type { IsBetter } from "./policy.ts";

/** Otherwise a peer that is slower by a trifle would lose every comparison; the draw, which is by weight, decides. */
const clearlyLess = 0.9;

export const isQuicker: IsBetter = (second, first, nowMs) =>
  costOf(second, nowMs) < costOf(first, nowMs) * clearlyLess;

/**
 * A peer that is not asked becomes cheaper with time, so that it is tried again. One that has not answered yet costs what
 * it has in flight, so that not everybody tries it at once.
 */
function costOf({ peer, member, weight }: Slot, nowMs: number): number {
  const load = peer.load / weight;
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
