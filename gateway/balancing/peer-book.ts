/**
 * What has been learnt of each address while running. A record outlives every swap of tables: it
 * stays as long as one upstream refers to its address. Chooses nothing; upstreams do.
 */
import { Peer, peerKey } from "../engine/peer.ts";
import type { Load, NearZone, PeerFinding, PeerHealth } from "../model/index.ts";
import type { Slot } from "./slot.ts";

/** An address with its passive health; every upstream that names the address shares it. */
export class Member {
  readonly peer: Peer;
  /** Upstreams that refer to it. Counted by the book alone. */
  references = 0;
  /** Failures since the last proof of life. Counted by the book alone. */
  fails = 0;
  /**
   * When it last failed or was last let through after a whole `fail_timeout`, in the caller's
   * monotonic milliseconds. Begins as a double: a field that changes from integer to double later
   * makes V8 give the object another shape.
   */
  checkedMs = Number.NEGATIVE_INFINITY;
  /** A request that may prove it alive is on its way, or was since its last failure. */
  probing = false;
  /** Of its places those where it matters how many requests other workers have on it. */
  sharers = 0;
  /** How many requests of this worker's the others were told of. */
  toldLoad = 0;
  /** What the primary says of the address; `null`: nothing. Set by the book alone. */
  told: PeerHealth | null = null;
  /** Its places in upstreams: they are told when anything here changes. */
  readonly slots: Slot[] = [];
  /** When the others were told last that it fails. */
  toldOthersMs = Number.NEGATIVE_INFINITY;
  /** Whether they may still take it for out because of that. */
  hasToldOthers = false;
  /** When it began to be available, for `slow_start`; a double from the start. */
  availableMs = Number.NEGATIVE_INFINITY;
  /** Tries that brought an answer, tries that failed or brought a status from 500 on. */
  answers = 0;
  errors = 0;
  /** A moving average of the time that its answers took; a double from the start, as `checkedMs` is. */
  latencyMs = Number.MIN_VALUE;

  /** Of `ewma`: its average of latency, and when it was observed last. Doubles from the start. */
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
  /** Of peers that are not here any more. */
  readonly #gone: Load[] = [];
  /** Numbers in [0, 1): what policies draw, and where rounds begin. */
  readonly random: () => number;
  /** Monotonic milliseconds, the clock that upstreams are asked with. */
  readonly now: () => number;
  /** Milliseconds since the epoch. */
  readonly epochMs: () => number;
  /** Whose peers come first; `null`: nobody's. */
  readonly zone: NearZone | null;

  /**
   * `onRetired` is called when the last reference to a peer goes; its `retired` is already true.
   * @param options.random default: always 0, so that rounds begin with the first.
   * @param options.onFinding told what other workers should know of a peer. Default: nobody is.
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

  /** Peers whose requests in flight the others are to know and do not: each with their number, which counts as told. */
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

  /** So many requests the other workers have on the peer. */
  hearLoad(address: string, load: number): void {
    const peer = this.#members.get(address)?.peer;
    if (peer !== undefined) peer.elsewhere = load;
  }

  /** Other workers should know this. */
  tell(finding: PeerFinding): void {
    this.#onFinding(finding);
  }

  /**
   * What the primary says of addresses now.
   * @param changed the addresses of which it says something else than before; `null`: any.
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
    // Another worker has seen it answer.
    if (isWellAgain) this.forgetFailures(member);
    for (const slot of member.slots) slot.hear(nowMs, this.epochMs());
  }

  /** How many addresses are referred to now. */
  get size(): number {
    return this.#members.size;
  }

  /**
   * The record of an address, with one more reference. An address that comes back while something
   * still refers to it keeps its record; one that was retired gets a fresh peer and a fresh record,
   * because the retired peer's connections are being closed and what was known of it is history.
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

  /** Gives back one reference. Throws an `Error` when none was held: that is a fault of the caller. */
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

/** Whether failures that workers have met keep it out, in whatever upstream. */
function isEjected(told: PeerHealth | null): boolean {
  return (
    told?.reasons.some(({ source, upstream }) => source === "passive" && upstream === null) ?? false
  );
}

function review(member: Member): void {
  for (const slot of member.slots) slot.review();
}
