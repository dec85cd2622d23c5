/**
 * Health as a filter in front of every policy: which slots may be picked for the current try. Policies ask the filter
 * and know nothing about health.
 */
import type { Exchange, Peer } from "../engine/engine.ts";
import type { Slot } from "./slot.ts";
import { markOut, type Ward } from "./ward.ts";

/** What a choice needs to know about a request: how often it was tried, and on which peers. */
export type Attempts = Pick<Exchange<unknown>, "tries" | "tried">;

/** Each upstream has one filter, and sets it before each choice. */
export class Filter {
  readonly #random: () => number;
  readonly #ward: Ward;
  #attempts: Attempts | null = null;
  #nowMs = 0;
  #isCareful = false;
  #isLastResort = false;
  /** In [0, 1). One draw decides for all slots whose share still grows. */
  #draw = 0.5;
  #hasHeldBack = false;

  constructor(ward: Ward, random: () => number) {
    this.#ward = ward;
    this.#random = random;
  }

  /**
   * @param isCareful whether some peers may be tried already, or retired.
   * @param key the hash of what the request has to stay with; `null`: nothing.
   */
  set(attempts: Attempts, nowMs: number, isCareful: boolean, key: number | null): void {
    this.#attempts = attempts;
    this.#nowMs = nowMs;
    this.#isCareful = isCareful;
    this.#isLastResort = false;
    this.#hasHeldBack = false;
    this.#ward.passTime(nowMs);
    if (this.#ward.unwell === 0) return;
    // Requests with the same key move to a growing slot together.
    this.#draw = key === null ? this.#random() : (Math.imul(key, 0x9e3779b1) >>> 0) / 2 ** 32;
  }

  /** From here on, slots that failures or checks have taken out may be picked too. */
  setLastResort(): void {
    this.#isLastResort = true;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Whether no slot is unwell. It does not look at which are full or were tried. */
  get isWell(): boolean {
    return this.#ward.unwell === 0;
  }

  /**
   * By slot index: a slot with `markWell` may be picked without asking `has`, one with `markOut` may not. `null`: ask
   * `has` for every slot.
   */
  get marks(): Uint8Array | null {
    return this.#isCareful || this.#isLastResort ? null : this.#ward.marks;
  }

  /** The indexes of the slots for which `has` must be asked, in ascending order. */
  get toLookAt(): Int32Array {
    return this.#ward.toLookAt;
  }

  /** Changes whenever a mark changes. */
  get revision(): number {
    return this.#ward.revision;
  }

  /**
   * Whether a slot was left out only because its share still grows. Call it when there was no other slot: from then
   * on such slots may be picked.
   */
  letIn(): boolean {
    const hasHeldBack = this.#hasHeldBack;
    this.#hasHeldBack = false;
    this.#draw = 0;
    return hasHeldBack;
  }

  has(slot: Slot): boolean {
    if (this.#isCareful && isSpent(slot.peer, this.#attempts)) return false;
    if (slot.isFull) return false;
    if (this.#ward.unwell === 0) return true;
    if (this.#isLastResort) return !slot.isDrained;
    if (this.#ward.marks[slot.index] === markOut) return false;
    if (slot.isOut(this.#nowMs)) {
      const untilMs = slot.outAtLeastUntilMs(this.#nowMs);
      if (untilMs > this.#nowMs) this.#ward.keepOut(slot.index, untilMs);
      return false;
    }
    if (slot.isBusyProving) return false;
    if (slot.admits(this.#nowMs, this.#draw)) return true;
    this.#hasHeldBack = true;
    return false;
  }
}

export function isSpent(peer: Peer, attempts: Attempts | null): boolean {
  return peer.retired || attempts?.tried(peer) === true;
}
