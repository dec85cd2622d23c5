/** A server's place in one upstream, and which of the places may be picked for a try. */
import { type Exchange, type Peer, Target, type TargetOptions } from "../engine/engine.ts";
import type { Server } from "../model/index.ts";
import type { Member } from "./peer-book.ts";
import { hashOf } from "./policies/rendezvous.ts";

/** What a choice needs to know of a request: the peers that were tried for it. */
export type Attempts = Pick<Exchange<unknown>, "tries" | "tried">;

/** Its weights here, and the record that its address has everywhere. */
export class Slot {
  readonly peer: Peer;
  /** What `pick` gives. */
  readonly target: Target;
  readonly keyHash: number;
  readonly member: Member;
  readonly weight: number;
  readonly maxFails: number;
  readonly failTimeoutMs: number;
  /** Among all slots of its upstream. */
  readonly index: number;

  constructor(
    index: number,
    server: Server,
    weight: number,
    member: Member,
    limits: TargetOptions | null,
  ) {
    this.index = index;
    this.peer = member.peer;
    this.target = new Target(member.peer, limits ?? {});
    this.keyHash = hashOf(member.peer.key);
    this.member = member;
    this.weight = weight;
    this.maxFails = server.maxFails;
    this.failTimeoutMs = server.failTimeoutMs;
  }

  isOut(nowMs: number): boolean {
    return (
      this.maxFails > 0 &&
      this.member.fails >= this.maxFails &&
      nowMs - this.member.checkedMs <= this.failTimeoutMs
    );
  }
}

/** Which slots may be picked for the current try. One for each upstream, filled before each choice. */
export class Filter {
  #attempts: Attempts | null = null;
  #nowMs = 0;
  #isCareful = false;
  #alsoOut = false;
  #hasAll = false;

  /**
   * @param isCareful whether peers may have been tried already, or be retired.
   * @param alsoOut whether those count as well that failures have taken out.
   * @param hasFailures whether any peer has failed of late.
   */
  set(
    attempts: Attempts,
    nowMs: number,
    isCareful: boolean,
    alsoOut: boolean,
    hasFailures: boolean,
  ): void {
    this.#attempts = attempts;
    this.#nowMs = nowMs;
    this.#isCareful = isCareful;
    this.#alsoOut = alsoOut;
    this.#hasAll = !isCareful && (alsoOut || !hasFailures);
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Whether every slot may be picked. */
  get hasAll(): boolean {
    return this.#hasAll;
  }

  has(slot: Slot): boolean {
    if (this.#isCareful && isSpent(slot.peer, this.#attempts)) return false;
    return slot.member.fails === 0 || this.#alsoOut || !slot.isOut(this.#nowMs);
  }
}

export function isSpent(peer: Peer, attempts: Attempts | null): boolean {
  return peer.retired || attempts?.tried(peer) === true;
}
