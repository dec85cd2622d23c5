/**
 * What a worker has learnt about each address. A record outlives every swap of tables and stays as long as one
 * upstream refers to its address. The book chooses nothing; upstreams do.
 */
import { Peer, peerKey } from "../engine/peer.ts";
import type { Load, NearZone, PeerFinding, PeerHealth } from "../model/index.ts";
import type { Slot } from "./slot.ts";

/** An address and what requests have shown about its health. All upstreams with this address share it. */
export class Member {
  readonly peer: Peer;
  /** How many upstreams refer to it. Only the book changes this. */
  references = 0;
  /** Failures since the address last proved to be alive. Only the book changes this. */
  fails = 0;
  /** Why the last try on it failed, in one clause; empty: none did, or nobody said. */
  lastFailure = "";
  /**
   * When it last failed, or was last let through after a whole `fail_timeout`, in the caller's monotonic
   * milliseconds. The first value is a double, because V8 changes an object's shape when a field turns from integer
   * to double.
   */
  checkedMs = Number.NEGATIVE_INFINITY;
  /** Whether a request that may prove it alive is on its way, or has been since its last failure. */
  probing = false;
  /** In how many of its slots the load from other workers matters. */
  sharers = 0;
  /** How many requests in flight this worker last reported to the others. */
  toldLoad = 0;
  /** What the primary says about the address; `null`: nothing. Only the book sets this. */
  told: PeerHealth | null = null;
  /** Its slots in upstreams, which are told when anything here changes. */
  readonly slots: Slot[] = [];
  /** When this worker last told the others that the address fails. */
  toldOthersMs = Number.NEGATIVE_INFINITY;
  /** Whether the others may still have it out because of that. */
  hasToldOthers = false;
  /** When it became available, for `slow_start`; a double from the start. */
  availableMs = Number.NEGATIVE_INFINITY;
  /** Tries that brought an answer, and tries that failed or brought a status of 500 or above. */
  answers = 0;
  errors = 0;
  /** A moving average of how long its answers took; a double from the start, like `checkedMs`. */
  latencyMs = Number.MIN_VALUE;

  /** For `ewma`: the average of latency, and when it was last observed. Doubles from the start. */
  peakMs = Number.MIN_VALUE;
  peakAtMs = Number.MIN_VALUE;

  constructor(peer: Peer) {
    this.peer = peer;
  }
}

export class PeerBook {
  readonly #members = new Map<string, Member>();
  readonly #onRetired: (peer: Peer) => void;
  readonly #onFinding: (finding: PeerFinding) => void;
  #health: ReadonlyMap<string, PeerHealth> = new Map();
  /** Loads to report for peers that are gone. */
  readonly #gone: Load[] = [];
  /** Numbers in [0, 1), for policies that draw and for where rounds begin. */
  readonly random: () => number;
  /** Monotonic milliseconds, on the clock whose times upstreams are given. */
  readonly now: () => number;
  /** Milliseconds since the epoch. */
  readonly epochMs: () => number;
  /** The zone whose peers come first; `null`: no zone. */
  readonly zone: NearZone | null;

  /**
   * `onRetired` is called when the last reference to a peer goes; its `retired` is already true.
   * @param options.random default: always 0, so that rounds begin with the first.
   * @param options.onFinding receives what other workers should know about a peer. Default: nothing does.
   */
  constructor(options: {
    readonly onRetired: (peer: Peer) => void;
    readonly random?: () => number;
    readonly onFinding?: (finding: PeerFinding) => void;
    readonly now?: () => number;
    readonly epochMs?: () => number;
    readonly zone?: NearZone | null;
  }) {
    this.#onRetired = options.onRetired;
    this.#onFinding = options.onFinding ?? (() => {});
    this.random = options.random ?? (() => 0);
    this.now = options.now ?? (() => performance.now());
    this.epochMs = options.epochMs ?? Date.now;
    this.zone = options.zone ?? null;
  }

  noteFailure(member: Member): void {
    member.fails += 1;
    if (member.fails === 1) review(member);
  }

  forgetFailures(member: Member): void {
    if (member.fails === 0) return;
    member.fails = 0;
    review(member);
  }

  /**
   * The peers whose requests in flight have changed since the last report. Each comes with its number, which then
   * counts as reported.
   */
  takeLoads(): Load[] {
    const loads = this.#gone.splice(0);
    for (const member of this.#members.values()) {
      const { peer, toldLoad } = member;
      const load = member.sharers === 0 ? 0 : peer.inFlight;
      if (load === toldLoad) continue;
      member.toldLoad = load;
      loads.push([peer.key, load]);
    }
    return loads;
  }

  /** The other workers have `load` requests on this peer. */
  hearLoad(address: string, load: number): void {
    const peer = this.#members.get(address)?.peer;
    if (peer !== undefined) peer.elsewhere = load;
  }

  /** Passes on a finding that other workers should know. */
  tell(finding: PeerFinding): void {
    this.#onFinding(finding);
  }

  /**
   * Takes what the primary says about addresses now.
   * @param changed the addresses about which it says something new; `null`: any address.
   */
  hear(health: ReadonlyMap<string, PeerHealth>, changed: Iterable<string> | null): void {
    this.#health = health;
    const nowMs = this.now();
    for (const address of changed ?? this.#members.keys()) {
      const member = this.#members.get(address);
      if (member !== undefined) this.#hearOf(member, nowMs);
    }
  }

  #hearOf(member: Member, nowMs: number): void {
    const told = this.#health.get(member.peer.key) ?? null;
    if (told === member.told) return;
    const isWellAgain = isEjected(member.told) && !isEjected(told);
    member.told = told;
    // Another worker has seen the address answer.
    if (isWellAgain) this.forgetFailures(member);
    for (const slot of member.slots) slot.hear(nowMs, this.epochMs());
  }

  /** How many addresses are referred to now. */
  get size(): number {
    return this.#members.size;
  }

  /**
   * Returns the record of an address, and counts one more reference. An address that something still refers to keeps
   * its record. A retired one gets a fresh peer and a fresh record, because the retired peer's connections are being
   * closed and its past no longer counts.
   */
  acquire(host: string, port: number): Member {
    const key = peerKey(host, port);
    let member = this.#members.get(key);
    if (member === undefined) {
      member = new Member(new Peer(host, port));
      member.told = this.#health.get(key) ?? null;
      this.#members.set(key, member);
    }
    member.references += 1;
    return member;
  }

  /** Gives back one reference. Throws an `Error` when there is none left, which is the caller's mistake. */
  release(member: Member): void {
    if (member.references === 0) throw new Error(`peer ${member.peer.key} is released too often`);
    member.references -= 1;
    if (member.references > 0) return;
    this.#members.delete(member.peer.key);
    if (member.toldLoad > 0) this.#gone.push([member.peer.key, 0]);
    member.peer.retired = true;
    this.#onRetired(member.peer);
  }

  /** The record of a peer that is still referred to; `undefined` for a retired one. */
  find(peer: Peer): Member | undefined {
    const member = this.#members.get(peer.key);
    return member?.peer === peer ? member : undefined;
  }
}

/** Whether failures that workers met keep the address out of every upstream. */
function isEjected(told: PeerHealth | null): boolean {
  return (
    told?.reasons.some(({ source, upstream }) => source === "passive" && upstream === null) ?? false
  );
}

function review(member: Member): void {
  for (const slot of member.slots) slot.review();
}
