/** A server's place in one upstream, and how it is: whether it may be picked there. */
import { type Peer, Target, type TargetOptions } from "../engine/engine.ts";
import type { HealthReason, Server } from "../model/index.ts";
import type { Member } from "./peer-book.ts";
import { hashOf } from "./policies/rendezvous.ts";

/** What the places of one upstream have in common. */
export class Ward {
  /** The upstream's name: what is said of a peer may be said for one upstream only. */
  readonly name: string;
  /** The upstream or service that it is a part of, as the one of a tag is: what is said of that holds here, too. */
  readonly whole: string;
  /** How many of its slots are not simply well, so that none needs a look while there are none. */
  unwell = 0;
  /** By the index of a slot: 1 while it is not simply well. */
  marks = new Uint8Array(0);
  /** Another number when another slot is marked. */
  revision = 0;
  /** Whether any of its slots may have so many requests at once and no more. */
  isBounded = false;
  /** Whether it matters here how many requests the other workers have on its peers. */
  sharesLoad = false;

  constructor(name: string, whole: string) {
    this.name = name;
    this.whole = whole;
  }
}

/** What a slot was doing of late, for those who look for outliers. Goes over from version to version. */
export class Tally {
  answers = 0;
  errors = 0;
  /** Errors since the last answer that was none. */
  inARow = 0;
}

/** So many good answers in a row make a peer well again that was an outlier; one request at a time until then. */
const provingAnswers = 3;
/** Of its share, what a server gets at once with `slow_start`. */
const leastShare = 0.02;

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
  /** 0: it gets its whole share at once. */
  readonly slowStartMs: number;
  /** Requests at once; 0: no limit. */
  readonly maxConns: number;
  /** Left out in its document: empty. */
  readonly zone: string;
  /** Among all slots of its upstream. */
  readonly index: number;
  readonly tally: Tally;
  readonly #ward: Ward;
  #isUnwell = false;
  #isDrained = false;
  #failsChecks = false;
  /** Monotonic; it is out until then. */
  #ejectedUntilMs = Number.NEGATIVE_INFINITY;
  /** Whether that is what the primary says. */
  #isToldEjected = false;
  /** It was out, and gets one request at a time until so many have gone well; 0: it need not prove itself. */
  #toProve = 0;
  /** Since when that holds. */
  #provesSinceMs = Number.NEGATIVE_INFINITY;
  #isRamping = false;

  /** @param before the same server's place in the upstream that this one replaces. */
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
    if (this.maxConns > 0) ward.isBounded = true;
    this.zone = server.zone ?? "";
    this.#ward = ward;
    this.tally = before?.tally ?? new Tally();
    if (before === undefined) return;
    this.#ejectedUntilMs = before.#ejectedUntilMs;
    this.#isToldEjected = before.#isToldEjected;
    this.#toProve = before.#toProve;
    this.#provesSinceMs = before.#provesSinceMs;
  }

  /** It is a part of its upstream from now on, and hears of its peer. */
  enter(nowMs: number, epochMs: number): void {
    this.member.slots.push(this);
    if (this.#ward.sharesLoad) this.member.sharers += 1;
    this.#isRamping = nowMs < this.member.availableMs + this.slowStartMs;
    this.hear(nowMs, epochMs);
  }

  leave(): void {
    const { slots } = this.member;
    const at = slots.indexOf(this);
    if (at === -1) return;
    slots.splice(at, 1);
    if (this.#ward.sharesLoad) this.member.sharers -= 1;
  }

  /** What the primary says of it in this upstream. */
  get reasons(): readonly HealthReason[] {
    return (this.member.told?.reasons ?? []).filter((reason) => this.#concerns(reason));
  }

  /** An operator has taken it out: it is not even a last resort. */
  get isDrained(): boolean {
    return this.#isDrained;
  }

  get failsChecks(): boolean {
    return this.#failsChecks;
  }

  /** Whether failures of requests keep it out. */
  isEjected(nowMs: number): boolean {
    return nowMs < this.#ejectedUntilMs || this.#hasFailed(nowMs);
  }

  isOut(nowMs: number): boolean {
    return this.#isDrained || this.#failsChecks || this.isEjected(nowMs);
  }

  /** When it may be tried again; `null`: now, or nobody can tell. */
  outUntilMs(nowMs: number): number | null {
    const ofFailures = this.#hasFailed(nowMs) ? this.member.checkedMs + this.failTimeoutMs : 0;
    const untilMs = Math.max(ofFailures, this.#ejectedUntilMs);
    return nowMs <= untilMs ? untilMs : null;
  }

  /** Whether it has as many requests as it may have, those of the other workers as they said last. */
  get isFull(): boolean {
    return this.maxConns > 0 && this.peer.load >= this.maxConns;
  }

  /** Whether it has to prove itself, and may not have another request for now. */
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

  /** Of its share, what it gets now. */
  share(nowMs: number): number {
    if (!this.#isRamping) return 1;
    const share = (nowMs - this.member.availableMs) / this.slowStartMs;
    return Math.min(1, Math.max(share, leastShare));
  }

  /** The worker itself takes it out, until somebody who knows more says how long. */
  eject(nowMs: number, forMs: number): void {
    this.#ejectedUntilMs = nowMs + forMs;
    this.#prove(this.#ejectedUntilMs, provingAnswers);
  }

  /** One try was well that began at `beganMs`. Returns whether it has proved itself with that. */
  proved(beganMs: number): boolean {
    if (this.#toProve === 0 || beganMs < this.#provesSinceMs) return false;
    this.#toProve -= 1;
    if (this.#toProve > 0) return false;
    this.#ejectedUntilMs = Number.NEGATIVE_INFINITY;
    return true;
  }

  /** Begins with a small share, if its upstream says so. */
  start(nowMs: number): void {
    this.member.availableMs = nowMs;
    this.#isRamping = this.slowStartMs > 0;
    this.review();
  }

  /** The primary says something else of its address. */
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

  /** Something has changed that makes it well or not. */
  review(): void {
    const isUnwell =
      this.member.fails > 0 ||
      this.#isDrained ||
      this.#failsChecks ||
      this.#toProve > 0 ||
      this.#isRamping;
    if (isUnwell === this.#isUnwell) return;
    this.#isUnwell = isUnwell;
    this.#ward.unwell += isUnwell ? 1 : -1;
    this.#ward.marks[this.index] = isUnwell ? 1 : 0;
    this.#ward.revision += 1;
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
    // What it has proved already stands.
    if (code === "recovering" && this.#toProve > 0) return;
    this.#ejectedUntilMs = untilMs === null ? nowMs : nowMs + untilMs - epochMs;
    // In nginx one good answer is enough.
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

  /** What a source says for this upstream or for all; the worse one of two. */
  #told(source: HealthReason["source"]): HealthReason | undefined {
    let found: HealthReason | undefined;
    for (const reason of this.member.told?.reasons ?? []) {
      if (reason.source !== source || !this.#concerns(reason)) continue;
      if (found === undefined || found.code === "recovering") found = reason;
    }
    return found;
  }
}
