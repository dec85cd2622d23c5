/**
 * What an upstream learns from the tries on its servers, in nginx's way and words: failures that take a server out, good
 * answers that bring it back, and who does worse than the others. Other workers are told.
 */
import { isPeersFault, type PeerFailure } from "../engine/engine.ts";
import type { PeerFinding, PolicyName } from "../model/index.ts";
import type { Gate } from "./gate.ts";
import type { Outliers } from "./outliers.ts";
import type { Member, PeerBook } from "./peer-book.ts";
import { observeLatency } from "./policies/ewma.ts";
import type { Slot } from "./slot.ts";
import type { Turns } from "./turns.ts";

/** The others are told again, after so long, about a peer that goes on failing. */
const retellMs = 500;

/** How much is kept of what is said about a failure. */
const mostWords = 300;

/** How many answers the moving average of latency spans. */
const latencyWindow = 32;

/** The member's last failure, as the end of a clause that counts them. */
export function lastOf({ lastFailure }: Member): string {
  return lastFailure === "" ? "" : `, the last: ${lastFailure}`;
}

export interface LearningOptions {
  /** The upstream's. */
  readonly name: string;
  readonly policy: PolicyName;
  readonly slots: readonly Slot[];
  /** Whether there is one server, which is protected: it is never taken out. */
  readonly isAlone: boolean;
  readonly turns: Turns;
  readonly book: PeerBook;
  readonly gate: Gate | null;
  readonly outliers: Outliers | null;
}

/** Times are milliseconds of the upstream's clock. */
export class Learning {
  readonly #name: string;
  readonly #policy: PolicyName;
  readonly #slots: readonly Slot[];
  readonly #isAlone: boolean;
  readonly #turns: Turns;
  readonly #book: PeerBook;
  readonly #gate: Gate | null;
  readonly #outliers: Outliers | null;

  constructor(options: LearningOptions) {
    this.#name = options.name;
    this.#policy = options.policy;
    this.#slots = options.slots;
    this.#isAlone = options.isAlone;
    this.#turns = options.turns;
    this.#book = options.book;
    this.#gate = options.gate;
    this.#outliers = options.outliers;
  }

  /** A try on the server failed. `why`: in one clause. */
  failed(slot: Slot, nowMs: number, why: string): void {
    const member = slot.member;
    member.lastFailure = why.length > mostWords ? `${why.slice(0, mostWords)}...` : why;
    this.#book.noteFailure(member);
    member.checkedMs = nowMs;
    member.probing = false;
    if (slot.maxFails === 0) return;
    this.#turns.lower(slot, Math.floor(slot.weight / slot.maxFails));
    if (member.fails < slot.maxFails && !slot.isProving) return;
    const forMs = slot.failTimeoutMs;
    // A server that is alone is not taken out. And the others are not told each time about one that fails and answers
    // by turns.
    if (this.#isAlone || nowMs - member.toldOthersMs < Math.max(1, Math.min(retellMs, forMs)))
      return;
    member.toldOthersMs = nowMs;
    member.hasToldOthers = true;
    const times = `${member.fails} failure${member.fails === 1 ? "" : "s"}`;
    const message = `${times} within ${forMs / 1000} s${lastOf(member)}`;
    this.#tell(slot, null, "max_fails", message, forMs, forMs);
  }

  /** A server that had failed answered. */
  succeeded(slot: Slot): void {
    const { member, maxFails } = slot;
    if (!this.#isAlone && !member.probing) return;
    const wasOut = maxFails > 0 && member.fails >= maxFails;
    this.#book.forgetFailures(member);
    if (!wasOut || (!member.hasToldOthers && member.told === null)) return;
    member.hasToldOthers = false;
    this.#tell(slot, null, "recovered", "", 0, 0);
  }

  /** A try is over. `status` is the answer's, or 0 without one. */
  ended(
    slot: Slot,
    status: number,
    failure: PeerFailure | null,
    durationMs: number,
    nowMs: number,
  ): void {
    const { member } = slot;
    const isFailed = failure !== null && isPeersFault(failure);
    const isError = isFailed || (failure === null && status >= 500);
    if (isError) member.errors += 1;
    if (this.#gate !== null)
      this.#tellGate(this.#gate, isFailed || status !== 0, isError, durationMs, nowMs);
    if (isFailed || status !== 0) this.#learn(slot, isFailed, isError, durationMs, nowMs);
    if (status === 0) return;
    member.answers += 1;
    if (this.#policy === "ewma") observeLatency(member, durationMs, nowMs);
    member.latencyMs += (durationMs - member.latencyMs) / Math.min(member.answers, latencyWindow);
  }

  #tellGate(
    gate: Gate,
    isKnown: boolean,
    isError: boolean,
    durationMs: number,
    nowMs: number,
  ): void {
    if (isKnown) gate.breaker?.note(isError, nowMs - durationMs, nowMs);
    gate.wake();
  }

  /** Notes what one try says about a server in comparison with the others. */
  #learn(slot: Slot, isFailed: boolean, isError: boolean, durationMs: number, nowMs: number): void {
    const outliers = this.#outliers;
    if (slot.isProving) {
      const isBad = outliers === null ? isFailed : isError;
      if (!isBad && slot.proved(nowMs - durationMs)) {
        slot.start(nowMs);
        this.#tell(slot, this.#name, "recovered", "", 0, 0);
        this.#tell(slot, null, "recovered", "", 0, 0);
      } else if (isBad && outliers !== null && !slot.isEjected(nowMs))
        this.#eject(slot, "consecutive_failures", "it failed again", nowMs);
    }
    if (outliers === null) return;
    const found = outliers.note(slot, isError);
    if (found !== null) this.#eject(slot, found.code, found.message, nowMs);
    if (!outliers.isDue(nowMs)) return;
    for (const { slot: one, code, message } of outliers.compare(this.#slots, nowMs))
      this.#eject(one, code, message, nowMs);
  }

  #eject(slot: Slot, code: PeerFinding["code"], message: string, nowMs: number): void {
    const outliers = this.#outliers;
    if (outliers === null || slot.isOut(nowMs)) return;
    let out = 0;
    for (const one of this.#slots) if (one.isOut(nowMs)) out += 1;
    if (!outliers.allows(out, this.#slots.length)) return;
    const { ejectionMs, maxEjectionMs } = outliers.options;
    slot.eject(nowMs, ejectionMs);
    this.#tell(slot, this.#name, code, message, ejectionMs, maxEjectionMs);
  }

  #tell(
    { peer }: Slot,
    upstream: string | null,
    code: PeerFinding["code"],
    message: string,
    forMs: number,
    maxForMs: number,
  ): void {
    this.#book.tell({ address: peer.key, upstream, code, message, forMs, maxForMs });
  }
}
