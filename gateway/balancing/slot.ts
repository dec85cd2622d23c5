/** A server's place in one upstream, and whether it may be picked there. */
import { type Peer, Target, type TargetOptions } from "../engine/engine.ts";
import type { LoadWatcher } from "../engine/peer.ts";
import type { HealthReason, Server } from "../model/index.ts";
import type { Member } from "./peer-book.ts";
import { hashOf } from "./policies/rendezvous.ts";
import { markOut, markUnwell, markWell, type Ward } from "./ward.ts";

/** A slot's recent results, for finding outliers. They go over to the upstream's next version. */
export class Tally {
  answers = 0;
  errors = 0;
  /** Errors since the last good answer. */
  inARow = 0;
}

/** An ejected outlier gets one request at a time until so many went well in a row. */
const provingAnswers = 3;
/** The part of its share that a server gets at once with `slow_start`. */
const leastShare = 0.02;

/** A server in one upstream: its weight and limits there, and the record that its address has everywhere. */
export class Slot implements LoadWatcher {
  readonly peer: Peer;
  /** The target that `pick` returns. */
  readonly target: Target;
  readonly keyHash: number;
  readonly member: Member;
  readonly weight: number;
  readonly maxFails: number;
  readonly failTimeoutMs: number;
  /** 0: the slot gets its whole share at once. */
  readonly slowStartMs: number;
  /** Most requests at once; 0: no limit. */
  readonly maxConns: number;
  /** Empty when the document leaves it out. */
  readonly zone: string;
  /** Index among all slots of the upstream. */
  readonly index: number;
  readonly tally: Tally;
  readonly #ward: Ward;
  #isUnwell = false;
  #isDrained = false;
  #failsChecks = false;
  /** The slot is out until then, in monotonic milliseconds. */
  #ejectedUntilMs = Number.NEGATIVE_INFINITY;
  /** Whether the primary says that it is ejected. */
  #isToldEjected = false;
  /**
   * The slot was out and gets one request at a time until so many more have gone well; 0: it need not prove itself.
   */
  #toProve = 0;
  /** Since when it has to prove itself. */
  #provesSinceMs = Number.NEGATIVE_INFINITY;
  #isRamping = false;

  /** @param before the same server's slot in the upstream that this one replaces. */
  constructor(
    index: number,
    server: Server,
    weight: number,
    member: Member,
    limits: TargetOptions | null,
    ward: Ward,
    before: Slot | undefined,
  ) {
    this.index = index;
    this.peer = member.peer;
    this.target = new Target(member.peer, limits ?? {});
    this.keyHash = hashOf(member.peer.key);
    this.member = member;
    this.weight = weight;
    this.maxFails = server.maxFails;
    this.failTimeoutMs = server.failTimeoutMs;
    this.slowStartMs = server.slowStartMs ?? 0;
    this.maxConns = server.maxConns ?? 0;
    this.zone = server.zone ?? "";
    this.#ward = ward;
    this.tally = before?.tally ?? new Tally();
    if (before === undefined) return;
    this.#ejectedUntilMs = before.#ejectedUntilMs;
    this.#isToldEjected = before.#isToldEjected;
    this.#toProve = before.#toProve;
    this.#provesSinceMs = before.#provesSinceMs;
  }

  /** The slot is now part of its upstream, and is told about its peer. */
  enter(nowMs: number, epochMs: number): void {
    this.member.slots.push(this);
    if (this.#ward.sharesLoad) this.member.sharers += 1;
    if (this.maxConns > 0) this.peer.watchers.push(this);
    this.#isRamping = nowMs < this.member.availableMs + this.slowStartMs;
    this.hear(nowMs, epochMs);
  }

  leave(): void {
    const { slots } = this.member;
    const at = slots.indexOf(this);
    if (at === -1) return;
    slots.splice(at, 1);
    if (this.#ward.sharesLoad) this.member.sharers -= 1;
    const { watchers } = this.peer;
    const watching = watchers.indexOf(this);
    if (watching !== -1) watchers.splice(watching, 1);
  }

  /** What the primary says about the server, as far as it applies to this upstream. */
  get reasons(): readonly HealthReason[] {
    return (this.member.told?.reasons ?? []).filter((reason) => this.#concerns(reason));
  }

  /** An operator has taken it out, so it is not even a last resort. */
  get isDrained(): boolean {
    return this.#isDrained;
  }

  get failsChecks(): boolean {
    return this.#failsChecks;
  }

  /** Whether failed requests keep it out. */
  isEjected(nowMs: number): boolean {
    return nowMs < this.#ejectedUntilMs || this.#hasFailed(nowMs);
  }

  isOut(nowMs: number): boolean {
    return this.#isDrained || this.#failsChecks || this.isEjected(nowMs);
  }

  /** When it may be tried again; `null` when it may be now, or when the time is unknown. */
  outUntilMs(nowMs: number): number | null {
    const ofFailures = this.#hasFailed(nowMs) ? this.member.checkedMs + this.failTimeoutMs : 0;
    const untilMs = Math.max(ofFailures, this.#ejectedUntilMs);
    return nowMs <= untilMs ? untilMs : null;
  }

  /** Until when it is out, whatever requests do; at most `nowMs` when it is not. News about it end this. */
  outAtLeastUntilMs(nowMs: number): number {
    if (this.#isDrained || this.#failsChecks) return Number.POSITIVE_INFINITY;
    return this.outUntilMs(nowMs) ?? nowMs;
  }

  /** Whether it has all the requests that it may have. Counts other workers' requests as they last reported them. */
  get isFull(): boolean {
    return this.maxConns > 0 && this.peer.load >= this.maxConns;
  }

  /** Whether it has to prove itself, and already has its one request. */
  get isBusyProving(): boolean {
    return this.#toProve > 0 && this.peer.inFlight > 0;
  }

  get isProving(): boolean {
    return this.#toProve > 0;
  }

  /** Whether a request with this draw, in [0, 1), may come to it while its share grows. */
  admits(nowMs: number, draw: number): boolean {
    if (!this.#isRamping) return true;
    const share = (nowMs - this.member.availableMs) / this.slowStartMs;
    if (share < 1) return draw < Math.max(share, leastShare);
    this.#isRamping = false;
    this.review();
    return true;
  }

  /** The part of its share that it gets now, up to 1. */
  share(nowMs: number): number {
    if (!this.#isRamping) return 1;
    const share = (nowMs - this.member.availableMs) / this.slowStartMs;
    return Math.min(1, Math.max(share, leastShare));
  }

  /** This worker takes it out, until the primary says for how long. */
  eject(nowMs: number, forMs: number): void {
    this.#ejectedUntilMs = nowMs + forMs;
    this.#prove(this.#ejectedUntilMs, provingAnswers);
  }

  /** A try that began at `beganMs` went well. Returns whether the slot has now proved itself. */
  proved(beganMs: number): boolean {
    if (this.#toProve === 0 || beganMs < this.#provesSinceMs) return false;
    this.#toProve -= 1;
    if (this.#toProve > 0) return false;
    this.#ejectedUntilMs = Number.NEGATIVE_INFINITY;
    return true;
  }

  /** Begins with a small share if the upstream has `slow_start`. */
  start(nowMs: number): void {
    this.member.availableMs = nowMs;
    this.#isRamping = this.slowStartMs > 0;
    this.review();
  }

  /** The primary says something new about the address. */
  hear(nowMs: number, epochMs: number): void {
    const wasKept = this.#isDrained || this.#failsChecks;
    const wasOut = this.#isToldEjected;
    this.#isDrained = this.#told("admin") !== undefined;
    this.#failsChecks = this.#told("check") !== undefined;
    const passive = this.#told("passive");
    this.#isToldEjected = passive !== undefined;
    if (passive !== undefined) this.#hearOfEjection(passive, nowMs, epochMs);
    else if (wasOut) {
      this.#ejectedUntilMs = Number.NEGATIVE_INFINITY;
      this.#toProve = 0;
    }
    const isKept = this.#isDrained || this.#failsChecks;
    if ((wasKept || wasOut) && !isKept && passive === undefined) this.start(nowMs);
    else this.review();
  }

  /** Something has changed that may make it well or unwell. */
  review(): void {
    const isUnwell =
      this.member.fails > 0 ||
      this.#isDrained ||
      this.#failsChecks ||
      this.#toProve > 0 ||
      this.#isRamping;
    if (isUnwell !== this.#isUnwell) this.#ward.unwell += isUnwell ? 1 : -1;
    this.#isUnwell = isUnwell;
    this.#mark();
  }

  /** The server has more or fewer requests. Told only where they are limited. */
  loadChanged(): void {
    this.#mark();
  }

  #mark(): void {
    const mark = this.isFull ? markOut : this.#isUnwell ? markUnwell : markWell;
    this.#ward.mark(this.index, mark);
  }

  #hasFailed(nowMs: number): boolean {
    return (
      this.maxFails > 0 &&
      this.member.fails >= this.maxFails &&
      nowMs - this.member.checkedMs <= this.failTimeoutMs
    );
  }

  #hearOfEjection({ code, untilMs }: HealthReason, nowMs: number, epochMs: number): void {
    if (code === "max_fails" && this.maxFails === 0) return;
    // The answers that it has already proved itself with still count.
    if (code === "recovering" && this.#toProve > 0) return;
    this.#ejectedUntilMs = untilMs === null ? nowMs : nowMs + untilMs - epochMs;
    // With `max_fails`, as in nginx, one good answer is enough.
    this.#prove(this.#ejectedUntilMs, code === "max_fails" ? 1 : provingAnswers);
  }

  #prove(fromMs: number, answers: number): void {
    this.#toProve = answers;
    this.#provesSinceMs = fromMs;
    this.review();
  }

  #concerns({ upstream }: HealthReason): boolean {
    return upstream === null || upstream === this.#ward.name || upstream === this.#ward.whole;
  }

  /** What a source says for this upstream or for all; if both, the worse one. */
  #told(source: HealthReason["source"]): HealthReason | undefined {
    let found: HealthReason | undefined;
    for (const reason of this.member.told?.reasons ?? []) {
      if (reason.source !== source || !this.#concerns(reason)) continue;
      if (found === undefined || found.code === "recovering") found = reason;
    }
    return found;
  }
}
