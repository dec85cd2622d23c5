/**
 * A named group of servers and the choice of the next peer among them: smooth weighted round robin
 * with passive health, in nginx's way and words. Active checks are not made here.
 */
import {
  isPeersFault,
  type Peer,
  type PeerFailure,
  type Target,
  type TargetOptions,
} from "../engine/engine.ts";
import { peerKey } from "../engine/peer.ts";
import type { Level, PeerStatus, PolicyName, Server, UpstreamStatus } from "../model/index.ts";
import type { KeyOf, KeySource } from "./hash-key.ts";
import { SlotLevel } from "./level.ts";
import type { Member, PeerBook } from "./peer-book.ts";
import { observeLatency } from "./policies/ewma.ts";
import { hashOf } from "./policies/rendezvous.ts";
import { type Attempts, Filter, isSpent, Slot } from "./slot.ts";
import { Turns } from "./turns.ts";

export interface UpstreamOptions {
  /** As the operator knows it; for records and `/status`. */
  readonly name: string;
  /** How its peers are reached; `null`: as the engine's limits say. */
  readonly limits: TargetOptions | null;
  /** Default `wrr`. */
  readonly policy?: PolicyName;
  /** What requests stay with at their peer; `null`, the default: nothing, unless a script says. */
  readonly keyOf?: KeyOf | null;
}

/**
 * So many peers a request is tried on at most when all that are left are out: a large service that is dead would
 * otherwise cost a hundred refused connections for each request, 6 ms of a worker.
 */
const mostTriesWhenOut = 32;

const untried: Attempts = { tries: 0, tried: () => false };

/** Answers that the moving average of latency is about. */
const latencyWindow = 32;

/**
 * An upstream. Times are milliseconds of one monotonic clock that the caller passes in.
 *
 * The order of choice, the weights and the health rules are those of nginx
 * (`src/http/ngx_http_upstream_round_robin.c`): a failure costs `weight / max_fails` of the effective
 * weight, each later round gives one back; `max_fails` failures take a server out for
 * `fail_timeout`, then one request probes it, and only its success brings the server back. The only
 * server of an upstream is never taken out. `fail_timeout` is also the window in which failures add
 * up: a success more than `fail_timeout` after the last failure forgets them.
 *
 * **When every server is out** nginx before 1.11.5 failed the request and forgot all failures; since
 * then it answers 502 until a `fail_timeout` has passed. Here such a request is tried on the servers
 * of all levels together, by weight, and its success brings that server back. Consul's checks
 * already decide who is listed at all; passive health only chooses among those, so it may prefer a
 * server but never switch a service off: an attempt on a doubtful server costs at worst the 502 that
 * would be given anyway. Nothing is forgotten wholesale, so a server that answers is preferred at
 * once to those that still do not.
 */
export class Upstream {
  readonly name: string;
  readonly limits: TargetOptions | null;
  readonly policy: PolicyName;
  readonly #keyOf: KeyOf | null;
  readonly #book: PeerBook;
  readonly #levels: readonly SlotLevel[];
  /** Every slot, in the order of levels. */
  readonly #all: SlotLevel;
  readonly #slots: readonly Slot[];
  readonly #turns: Turns;
  readonly #filter = new Filter();
  readonly #only: Slot | null;
  /** Empty when there is one only. */
  readonly #slotsByPeer: ReadonlyMap<Peer, Slot>;
  /** Servers that their document says are down, each with its level. */
  readonly #down: readonly { readonly server: Server; readonly level: number }[];
  #disposed = false;

  /**
   * Takes a reference in `book` for each address that is not down; `dispose` gives them back. An address that is
   * listed twice in a level has the sum of its weights; one that an earlier level has is left out
   * of the later. With `previous`, the upstream that this one replaces, the round goes on where that
   * one stands, so that frequent changes do not favour the first server.
   */
  constructor(
    levels: readonly Level[],
    options: UpstreamOptions,
    book: PeerBook,
    previous: Upstream | null = null,
  ) {
    this.name = options.name;
    this.limits = options.limits;
    this.policy = options.policy ?? "wrr";
    this.#keyOf = options.keyOf ?? null;
    this.#book = book;
    const seen = new Set<Member>();
    this.#down = levels.flatMap(({ servers }, level) =>
      servers.filter(({ down }) => down === true).map((server) => ({ server, level })),
    );
    const slotsByLevel: (readonly Slot[])[] = [];
    for (const { servers } of levels) {
      const from = slotsByLevel.flat().length;
      const slots = buildLevel(from, servers, options.limits, book, seen);
      if (slots.length > 0) slotsByLevel.push(slots);
    }
    this.#slots = slotsByLevel.flat();
    const turns = new Turns(this.#slots);
    this.#turns = turns;
    this.#levels = slotsByLevel.map(
      (slots) => new SlotLevel(slots, turns, this.policy, book.random),
    );
    this.#all = new SlotLevel(this.#slots, turns, this.policy, book.random);
    this.#only = this.#slots.length === 1 ? (this.#slots[0] ?? null) : null;
    this.#slotsByPeer = new Map(
      this.#only === null ? this.#slots.map((slot) => [slot.peer, slot]) : [],
    );
    for (const slots of slotsByLevel) {
      if (previous === null) turns.begin(slots, book.random);
      else turns.continue(slots, previous.#turns, previous.#slots);
    }
  }

  /** What the request stays with at its peer, for `pick`: a script's word, else the document's; empty: nothing. */
  hashKey(request: KeySource, ofScript: string): string {
    return ofScript !== "" || this.#keyOf === null ? ofScript : this.#keyOf(request);
  }

  /** How many addresses it has, up or not. */
  get size(): number {
    return this.#slots.length;
  }

  /**
   * Where the next try goes; `null` when there is no peer that was not tried.
   * Allocates nothing.
   * @param hashKey picks the same peer for the same text as long as that is up, in the first level that
   * has one that is; the next try goes to the next best. Empty: in turn.
   */
  pick(attempts: Attempts, nowMs: number, hashKey = ""): Target | null {
    // Only a request that began before a swap of tables can meet a retired peer here.
    const careful = attempts.tries > 0 || this.#disposed;
    const only = this.#only;
    if (only !== null) return careful && isSpent(only.peer, attempts) ? null : only.target;
    const key = hashKey === "" ? null : hashOf(hashKey);
    const filter = this.#filter;
    filter.set(attempts, nowMs, careful, false, this.#book.failing > 0);
    const levels = this.#levels;
    for (let i = 0; i < levels.length; i += 1) {
      const slot = levels[i]?.choose(filter, key) ?? null;
      if (slot === null) continue;
      const member = slot.member;
      if (nowMs - member.checkedMs > slot.failTimeoutMs) {
        member.checkedMs = nowMs;
        member.probing = true;
      }
      return slot.target;
    }
    if (attempts.tries >= mostTriesWhenOut) return null;
    filter.set(attempts, nowMs, careful, true, true);
    const slot = this.#all.choose(filter, key);
    if (slot === null) return null;
    slot.member.probing = true;
    return slot.target;
  }

  /** What `pick` would give a request that was tried on no peer; leaves the round and all else as it is. */
  peek(nowMs: number, hashKey: string): Target | null {
    const goBack = this.#turns.remember();
    const checks = this.#slots.map(({ member }) => {
      const { checkedMs, probing } = member;
      return { member, check: { checkedMs, probing } };
    });
    const target = this.pick(untried, nowMs, hashKey);
    goBack();
    for (const { member, check } of checks) Object.assign(member, check);
    return target;
  }

  /** A try on `peer` failed. Does nothing for a peer that is not of this upstream. */
  failed(peer: Peer, nowMs: number): void {
    const slot = this.#slotOf(peer);
    if (slot === undefined) return;
    const member = slot.member;
    this.#book.noteFailure(member);
    member.checkedMs = nowMs;
    member.probing = false;
    if (slot.maxFails > 0) this.#turns.lower(slot, Math.floor(slot.weight / slot.maxFails));
  }

  /** `peer` answered. Called for each request, so it costs a look-up and no more. */
  succeeded(peer: Peer): void {
    const member = this.#slotOf(peer)?.member;
    if (member === undefined || member.fails === 0) return;
    if (this.#only !== null || member.probing) this.#book.forgetFailures(member);
  }

  /** A try on `peer` is over: with an answer's status or, without one, 0. Decides nothing. */
  ended(
    peer: Peer,
    status: number,
    failure: PeerFailure | null,
    durationMs: number,
    nowMs: number,
  ): void {
    const member = this.#slotOf(peer)?.member;
    if (member === undefined) return;
    if (failure === null ? status >= 500 : isPeersFault(failure)) member.errors += 1;
    if (status === 0) return;
    member.answers += 1;
    if (this.policy === "ewma") observeLatency(member, durationMs, nowMs);
    member.latencyMs += (durationMs - member.latencyMs) / Math.min(member.answers, latencyWindow);
  }

  #slotOf(peer: Peer): Slot | undefined {
    if (this.#only === null) return this.#slotsByPeer.get(peer);
    return this.#only.peer === peer ? this.#only : undefined;
  }

  /** Gives up its references. What still holds it may go on to pick: retired peers are passed over. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const slot of this.#slots) this.#book.release(slot.member);
  }

  /** Plain objects, for the admin API. */
  describe(nowMs: number): UpstreamStatus {
    const peers = this.#levels.flatMap(({ slots }, level) =>
      slots.map((slot): PeerStatus => {
        const isDown = this.#only === null && slot.isOut(nowMs);
        return {
          address: slot.peer.key,
          level,
          weight: slot.weight,
          effectiveWeight: this.#turns.effectiveOf(slot.index),
          fails: slot.member.fails,
          inFlight: slot.peer.inFlight,
          answers: slot.member.answers,
          errors: slot.member.errors,
          latencyMs: Math.round(slot.member.latencyMs * 10) / 10,
          state: isDown ? "down" : "up",
          downForMs: isDown ? slot.member.checkedMs + slot.failTimeoutMs - nowMs : null,
        };
      }),
    );
    const down = this.#down.map(
      ({ server, level }): PeerStatus => ({
        address: peerKey(server.host, server.port),
        level,
        weight: server.weight,
        effectiveWeight: 0,
        fails: 0,
        inFlight: 0,
        answers: 0,
        errors: 0,
        latencyMs: 0,
        state: "down",
        downForMs: null,
      }),
    );
    return { name: this.name, limits: this.limits, peers: [...peers, ...down] };
  }
}

function buildLevel(
  from: number,
  servers: readonly Server[],
  limits: TargetOptions | null,
  book: PeerBook,
  seen: Set<Member>,
): Slot[] {
  const listed = new Map<Member, { readonly server: Server; weight: number }>();
  for (const server of servers) {
    if (server.down === true) continue;
    const member = book.acquire(server.host, server.port);
    const twin = listed.get(member);
    if (twin !== undefined) twin.weight += server.weight;
    else if (!seen.has(member)) listed.set(member, { server, weight: server.weight });
    if (seen.has(member)) book.release(member);
    seen.add(member);
  }
  return [...listed].map(
    ([member, { server, weight }], at) => new Slot(from + at, server, weight, member, limits),
  );
}
