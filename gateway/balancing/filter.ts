/**
 * Health as a filter in front of every policy: which slots may be picked for the current try. A policy asks it and knows
 * nothing of health.
 */
import type { Exchange, Peer } from "../engine/engine.ts";
import type { Slot, Ward } from "./slot.ts";

/** What a choice needs to know of a request: the peers that were tried for it. */
export type Attempts = Pick<Exchange<unknown>, "tries" | "tried">;

/** One for each upstream, filled before each choice. */
export class Filter {
  readonly #random: () => number;
  readonly #ward: Ward;
  #attempts: Attempts | null = null;
  #nowMs = 0;
  #isCareful = false;
  #hasAll = false;
  #isLastResort = false;
  /** In [0, 1): decides for all slots whose share grows alike. */
  #draw = 0.5;
  #hasHeldBack = false;

  constructor(ward: Ward, random: () => number) {
    this.#ward = ward;
    this.#random = random;
  }

  /**
   * @param isCareful whether peers may have been tried already, or be retired.
   * @param key the hash of what the request is to stay with; `null`: nothing.
   */
  set(attempts: Attempts, nowMs: number, isCareful: boolean, key: number | null): void {
    this.#attempts = attempts;
    this.#nowMs = nowMs;
    this.#isCareful = isCareful;
    this.#isLastResort = false;
    this.#hasHeldBack = false;
    const isWell = this.#ward.unwell === 0;
    this.#hasAll = !isCareful && isWell && !this.#ward.isBounded;
    if (isWell) return;
    // Requests of one key come over together.
    this.#draw = key === null ? this.#random() : (Math.imul(key, 0x9e3779b1) >>> 0) / 2 ** 32;
  }

  /** From here on, those count as well that failures or checks have taken out. */
  setLastResort(): void {
    this.#isLastResort = true;
    this.#hasAll = false;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Whether none is out, tried ones left aside. */
  get isWell(): boolean {
    return this.#ward.unwell === 0;
  }

  /** By the index of a slot: those without a mark need no question; `null`: each has to be asked for. */
  get marks(): Uint8Array | null {
    return this.#isCareful || this.#isLastResort || this.#ward.isBounded ? null : this.#ward.marks;
  }

  /** Another number when other slots are marked. */
  get revision(): number {
    return this.#ward.revision;
  }

  /** Whether every slot may be picked. */
  get hasAll(): boolean {
    return this.#hasAll;
  }

  /** Whether a slot was left out only because its share still grows. Asked when there was no other; lets such slots in. */
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
    if (slot.isOut(this.#nowMs) || slot.isBusyProving) return false;
    if (slot.admits(this.#nowMs, this.#draw)) return true;
    this.#hasHeldBack = true;
    return false;
  }
}

export function isSpent(peer: Peer, attempts: Attempts | null): boolean {
  return peer.retired || attempts?.tried(peer) === true;
}
