/** An upstream's server as plain data: its state in Slardar's words, and the reasons for that state. */
import { peerKey } from "../engine/peer.ts";
import type { PeerStatus, Server } from "../model/index.ts";
import { lastOf } from "./learning.ts";
import type { Slot } from "./slot.ts";

export interface SlotView {
  readonly level: number;
  readonly effectiveWeight: number;
  /** Every server of the upstream is out, so all are tried all the same. */
  readonly isLastResort: boolean;
  /** An operator set its weight by hand. */
  readonly isWeighed: boolean;
  readonly nowMs: number;
}

export function slotStatus(slot: Slot, view: SlotView): PeerStatus {
  const { level, effectiveWeight, isLastResort, nowMs } = view;
  const { member } = slot;
  const isOut = slot.isOut(nowMs) && !(isLastResort && !slot.isDrained);
  const isUnstable = slot.isOut(nowMs) || slot.isProving;
  const untilMs = slot.outUntilMs(nowMs);
  return {
    address: slot.peer.key,
    level,
    weight: slot.weight,
    effectiveWeight,
    fails: member.fails,
    inFlight: slot.peer.inFlight,
    elsewhere: slot.peer.elsewhere,
    answers: member.answers,
    errors: member.errors,
    latencyMs: Math.round(member.latencyMs * 10) / 10,
    state: isOut ? "err" : isUnstable ? "unstable" : "ok",
    reason: reasonOf(slot, isOut, view),
    since: member.told === null ? null : new Date(member.told.sinceMs).toISOString(),
    downForMs: isOut && untilMs !== null ? untilMs - nowMs : null,
  };
}

/** A server that its document marks as down. */
export function downStatus(server: Server, level: number): PeerStatus {
  return {
    address: peerKey(server.host, server.port),
    level,
    weight: server.weight,
    effectiveWeight: 0,
    fails: 0,
    inFlight: 0,
    elsewhere: 0,
    answers: 0,
    errors: 0,
    latencyMs: 0,
    state: "err",
    reason: "down in its document",
    since: null,
    downForMs: null,
  };
}

function reasonOf(slot: Slot, isOut: boolean, { isWeighed, nowMs }: SlotView): string {
  const { fails, told } = slot.member;
  const parts = slot.reasons.map(({ code, message }) => `${code}: ${message}`);
  const isOwn = fails > 0 && !parts.some((part) => part.startsWith("max_fails"));
  if (isOwn) {
    const times = `${fails} failure${fails === 1 ? "" : "s"} in a row`;
    parts.unshift(`${times}${lastOf(slot.member)}`);
  }
  if (parts.length === 0 && told === null && slot.isProving) parts.push("has to prove itself");
  const share = slot.share(nowMs);
  if (share < 1) parts.push(`slow start: has ${Math.floor(share * 100)} % of its share`);
  if (isWeighed) parts.push(`weight ${slot.weight} by hand`);
  const untilMs = slot.outUntilMs(nowMs);
  if (isOut && untilMs !== null) {
    const ms = untilMs - nowMs;
    parts.push(`one request may try it ${ms <= 0 ? "now" : `in ${Math.ceil(ms / 100) / 10} s`}`);
  } else if (!isOut && slot.isOut(nowMs))
    parts.push("tried all the same, for want of a better one");
  return parts.length === 0 ? "no failure" : parts.join("; ");
}
