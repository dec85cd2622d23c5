/**
 * Picks, of two drawn slots, the one that answers sooner: a moving average of latency, which follows a rise at once
 * and forgets it slowly, times the requests in flight plus this one ("peak EWMA", as in Finagle's load balancers).
 */
import type { Member } from "../peer-book.ts";
import type { Slot } from "../slot.ts";
import type { IsBetter } from "./policy.ts";

/**
 * How much cheaper the second slot must be. Without this, a slightly slower peer would lose every comparison; with
 * it, the draw by weight decides between nearly equal peers.
 */
const clearlyLess = 0.9;

export const isQuicker: IsBetter = (second, first, nowMs) =>
  costOf(second, nowMs) < costOf(first, nowMs) * clearlyLess;

/**
 * A peer that gets no request becomes cheaper with time, so that it is tried again. One that has not answered yet
 * costs what it has in flight, so that not all requests try it at once.
 */
function costOf({ peer, member, weight }: Slot, nowMs: number): number {
  const load = peer.load / weight;
  return member.peakMs * keptPart(member, nowMs) * (1 + load) + load;
}

/** After so long, a third of a peak still counts. */
const forgetMs = 10_000;

/** Notes that an answer took `tookMs`. `nowMs`: when it ended, on a monotonic clock. */
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
