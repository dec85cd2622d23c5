/**
 * What has been learnt of each address while running. A record outlives every swap of tables: it
 * stays as long as one upstream refers to its address. Chooses nothing; upstreams do.
 */
import { Peer, peerKey } from "../engine/peer.ts";

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
  #failing = 0;
  /** Numbers in [0, 1): what policies draw, and where rounds begin. */
  readonly random: () => number;

  /**
   * `onRetired` is called when the last reference to a peer goes; its `retired` is already true.
   * @param options.random default: always 0, so that rounds begin with the first.
   */
  constructor(options: {
    readonly onRetired: (peer: Peer) => void;
    readonly random?: () => number;
  }) {
    this.#onRetired = options.onRetired;
    this.random = options.random ?? (() => 0);
  }

  /** How many addresses have failed since their last proof of life. */
  get failing(): number {
    return this.#failing;
  }

  noteFailure(member: Member): void {
    if (member.fails === 0 && member.references > 0) this.#failing += 1;
    member.fails += 1;
  }

  forgetFailures(member: Member): void {
    if (member.fails > 0 && member.references > 0) this.#failing -= 1;
    member.fails = 0;
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
    if (member.fails > 0) this.#failing -= 1;
    member.peer.retired = true;
    this.#onRetired(member.peer);
  }

  /** The record of a peer that is still referred to; `undefined` for a retired one. */
  find(peer: Peer): Member | undefined {
    const member = this.#members.get(peer.key);
    return member?.peer === peer ? member : undefined;
  }
}
