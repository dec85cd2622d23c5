/**
 * How much of a worker's time the calls of scripts take, and which scripts are not called for a while because
 * of it. A script rests for its own debts, waits when heavy calls took their share, and a new one waits when
 * other new ones stalled.
 */

import { loadTimeoutFactor } from "../limits.ts";
import { Debt, Debts } from "./debts.ts";
import { LoopShare, Use } from "./loop-share.ts";

/** A call that fails before this part of its limit costs its worker next to nothing. */
const cheapPart = 0.1;
/**
 * In calls at their limit: an odd one denies no other request. On a busy machine it is ended late, and making
 * its isolate again takes as long as some calls.
 */
const allowance = 4;
/** In calls at their limit: when all scripts together owe more, heavy ones have no allowance, quick ones less. */
const sharedAllowance = 10;
const crowdedAllowance = 1.5;
/**
 * In calls at their limit: how much first calls that fail late may take before the next new script has to wait. A few
 * of them must not keep a good script waiting that happens to come after them.
 */
const newcomersAllowance = 50;
/** In calls at their limit: the most that one of them adds to that, so that only three of them make others wait. */
const newcomerMost = 25;
/** A call that takes this many limits was not ended in time. */
const stallFactor = 2;
/** In calls at their limit: how much heavy scripts may take at a stretch before those that took most wait. */
const burst = 0.5;
/** A script whose calls take less on average costs no more than the rest of a request does. */
const quickMs = 0.25;
/** The average is over about as many calls. */
const memory = 64;
/** A few calls say little about the others. */
const measuredToTell = 16;
/** Of a quick script one call in so many is measured, on average: reading the clock costs a part of it. */
const measureEvery = 8;

/** Why a script is not called. */
export type Wait = "debts" | "newcomers" | "share";

/** What something took that has just ended. */
export interface Took {
  readonly endedMs: number;
  /** Time in which others could not run, whatever the machine did. */
  readonly wallMs: number;
  /** Of the processor. */
  readonly ranMs: number;
}

/** What the scripts of a worker have in common. */
export class WorkerTime {
  readonly limitMs: number;
  readonly debts = new Debts();
  /** Of scripts that stalled in their first call, one after the other: nothing is known of those that come next. */
  readonly newcomers = new Debts();
  readonly newcomer = new Debt();
  readonly loopShare: LoopShare;
  /** For first calls that fail late and were ended in time. */
  readonly newcomersShare: LoopShare;
  readonly newcomersUse = new Use();

  /** @param limitMs of a call. */
  constructor(limitMs: number) {
    this.limitMs = limitMs;
    this.loopShare = new LoopShare(burst * limitMs);
    this.newcomersShare = new LoopShare(newcomersAllowance * limitMs);
  }

  get isCalm(): boolean {
    return this.loopShare.isCalm && this.debts.areNone && this.areNewcomersCalm;
  }

  get areNewcomersCalm(): boolean {
    return this.newcomers.areNone && this.newcomersShare.isCalm;
  }

  mayBegin(nowMs: number): boolean {
    if (this.areNewcomersCalm) return true;
    const owedMs = this.newcomers.owedMs(this.newcomer, nowMs);
    if (owedMs > newcomersAllowance * this.limitMs) return false;
    this.newcomersShare.sawOther();
    return this.newcomersShare.mayRun(this.newcomersUse, nowMs);
  }
}

/** One script's time in its worker. */
export class ScriptTime {
  readonly #worker: WorkerTime;
  readonly #debt = new Debt();
  readonly #use = new Use();
  #usualMs = 0;
  /** Calls that were measured, up to `memory`. */
  #measured = 0;
  /** What its calls usually take elsewhere. */
  #isKnown = false;
  #skip = 0;
  /** Calls since the last that was measured. */
  #unmeasured = 0;
  #totalMs = 0;
  #wasMade = false;
  /** Time spent on the current call beside the call itself. */
  #extraMs = 0;

  constructor(worker: WorkerTime) {
    this.#worker = worker;
  }

  /** Whether its calls take more than others should bear. A script that was not called yet is not heavy. */
  get isHeavy(): boolean {
    return this.#usualMs >= quickMs;
  }

  /** What a call usually takes; `null` while too few were measured. */
  get usualMs(): number | null {
    return this.#measured < measuredToTell ? null : this.#usualMs;
  }

  /** What its calls usually take in other workers, so that it is no newcomer here. Its calls here count for more. */
  learn(usualMs: number): void {
    if (this.#measured > 0) return;
    this.#isKnown = true;
    this.#usualMs = usualMs;
  }

  /** Milliseconds that all calls took; one that was not measured counts as what calls usually take. */
  get totalMs(): number {
    return this.#totalMs;
  }

  /** `null`: it may be called. */
  wait(nowMs: number): Wait | null {
    const worker = this.#worker;
    if (worker.isCalm) return null;
    if (this.#rests(nowMs)) return "debts";
    if (this.#isNewcomer) return worker.mayBegin(nowMs) ? null : "newcomers";
    return this.isHeavy && !worker.loopShare.mayRun(this.#use, nowMs) ? "share" : null;
  }

  /** Its isolate was made. The first one is free: a worker that starts makes many. */
  made({ ranMs }: Took): void {
    if (this.#wasMade) this.#extraMs += ranMs;
    this.#wasMade = true;
  }

  /** An earlier try counts as part of the current call. */
  tried({ ranMs }: Took): void {
    this.#extraMs += ranMs;
  }

  /** Whether to measure the current call when it returns. */
  isNextMeasured(): boolean {
    if (this.#measured < memory || this.isHeavy || this.#extraMs > 0) return true;
    if (this.#skip > 0) {
      this.#skip -= 1;
      this.#unmeasured += 1;
      return false;
    }
    // A script that counts its calls must not know which one is measured.
    this.#skip = Math.floor(Math.random() * (2 * measureEvery - 1));
    return true;
  }

  failedToLoad(took: Took): void {
    const { endedMs, ranMs } = took;
    if (ranMs >= cheapPart * loadTimeoutFactor * this.#worker.limitMs) this.#owe(endedMs, ranMs);
    this.#count(took, ranMs);
  }

  returned(took: Took): void {
    const allMs = this.#takeExtra(took);
    const isFirst = this.#measured === 0;
    // V8 did not look at its limit.
    if (took.ranMs > stallFactor * this.#worker.limitMs) this.#owe(took.endedMs, allMs);
    this.#count(took, allMs);
    // V8 compiles what it calls for the first time, so the first call says little about those that follow.
    if (isFirst) this.#usualMs = Math.min(this.#usualMs, quickMs / 2);
  }

  failed(took: Took): void {
    const allMs = this.#takeExtra(took);
    if (took.ranMs >= cheapPart * this.#worker.limitMs) this.#owe(took.endedMs, allMs);
    this.#count(took, allMs);
  }

  get #isNewcomer(): boolean {
    return this.#measured === 0 && !this.#isKnown;
  }

  #takeExtra({ ranMs }: Took): number {
    const allMs = ranMs + this.#extraMs;
    this.#extraMs = 0;
    return allMs;
  }

  #rests(nowMs: number): boolean {
    if (this.#debt.dueMs === 0) return false;
    const { debts, limitMs } = this.#worker;
    const owedMs = debts.owedMs(this.#debt, nowMs);
    if (owedMs === 0) return false;
    if (owedMs > allowance * limitMs) return true;
    if (debts.totalMs(nowMs) <= sharedAllowance * limitMs) return false;
    return this.isHeavy || owedMs > crowdedAllowance * limitMs;
  }

  #owe(nowMs: number, tookMs: number): void {
    const { debts, limitMs, newcomers, newcomer, newcomersShare, newcomersUse } = this.#worker;
    debts.owe(this.#debt, nowMs, tookMs);
    if (!this.#isNewcomer) return;
    if (tookMs > stallFactor * limitMs) {
      newcomers.owe(newcomer, nowMs, Math.min(tookMs, newcomerMost * limitMs));
    } else newcomersShare.take(newcomersUse, nowMs, tookMs);
  }

  #count({ endedMs, wallMs, ranMs }: Took, allMs: number): void {
    this.#totalMs += allMs + this.#unmeasured * this.#usualMs;
    this.#unmeasured = 0;
    if (this.#measured < memory) this.#measured += 1;
    // A stall is a debt, and says little about the usual time of calls.
    const countedMs = Math.min(allMs, this.#worker.limitMs);
    this.#usualMs += (countedMs - this.#usualMs) / this.#measured;
    if (!this.isHeavy) return;
    this.#worker.loopShare.take(this.#use, endedMs, wallMs + allMs - ranMs);
  }
}
