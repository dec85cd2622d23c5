/**
 * A named group of servers: picks the next peer by its policy among the healthy ones. What requests say about their
 * health is in `learning.ts`; active checks are made elsewhere.
 */
import type { Peer, PeerFailure, Target, TargetOptions } from "../engine/engine.ts";
import type {
  Level,
  NearZone,
  OutlierOptions,
  PeerSettings,
  PolicyName,
  Server,
  UpstreamStatus,
} from "../model/index.ts";
import { boundsStatus } from "./bounds-status.ts";
import { downStatus, slotStatus } from "./description.ts";
import { type Attempts, Filter, isSpent } from "./filter.ts";
import type { Gate } from "./gate.ts";
import type { KeyOf, KeySource } from "./hash-key.ts";
import { Learning } from "./learning.ts";
import { SlotLevel } from "./level.ts";
import { Outliers } from "./outliers.ts";
import type { Member, PeerBook } from "./peer-book.ts";
import type { PeerTokens } from "./peer-tokens.ts";
import { hashOf } from "./policies/rendezvous.ts";
import { defaultRetryBudget, RetryBudget } from "./retry-budget.ts";
import { Slot } from "./slot.ts";
import { Turns } from "./turns.ts";
import { Ward } from "./ward.ts";

export interface UpstreamOptions {
  /** The name that the operator knows, for records and `/status`. */
  readonly name: string;
  /** The upstream or service that it is a part of. Default: itself. */
  readonly whole?: string;
  /** Weights that an operator set by hand, by address. Default `null`: none. */
  readonly settings?: PeerSettings | null;
  /** How to reach its peers; `null`: the engine's limits apply. */
  readonly limits: TargetOptions | null;
  /** Default `wrr`. */
  readonly policy?: PolicyName;
  /** Reads the key that keeps a request with one peer. Default `null`: no key, unless a script gives one. */
  readonly keyOf?: KeyOf | null;
  /** Whether all servers are tried when none is well. Default true. */
  readonly isProtected?: boolean;
  /** Default `null`: outliers are not looked for. */
  readonly outliers?: OutlierOptions | null;
  /** Default `null`: nothing bounds the upstream. */
  readonly gate?: Gate | null;
  /** `null`: no budget. Left out: a budget of its own. */
  readonly retryBudget?: RetryBudget | null;
}

/** Why an upstream has no peer for a request that has not been tried yet. */
export type WhyNone = "no_instance" | "checks_failing" | "all_ejected" | "all_drained" | "all_full";

/**
 * On how many peers a request is tried at most when all that are left are out. For a large dead service, each request
 * would otherwise cost a hundred refused connections, which take a worker 6 ms.
 */
const mostTriesWhenOut = 32;

/** The policies that depend on how many requests a peer has. */
const loadPolicies: ReadonlySet<PolicyName> = new Set(["least_conn", "p2c", "ewma"]);

const untried: Attempts = { tries: 0, tried: () => false };

/**
 * An upstream. Times are milliseconds on one monotonic clock, which the caller passes in.
 *
 * The order of choice, the weights and the health rules are nginx's (`src/http/ngx_http_upstream_round_robin.c`). A
 * failure takes `weight / max_fails` from the effective weight, and each later round gives one back. After
 * `max_fails` failures a server is out for `fail_timeout`; then one request probes it, and only its success brings
 * the server back. The only server of a protected upstream is never taken out. `fail_timeout` is also the window in
 * which failures add up: a success more than `fail_timeout` after the last failure forgets them. Other workers are
 * told at once.
 *
 * **When every server is out**, nginx before 1.11.5 failed the request and forgot all failures; since then it answers
 * 502 until a `fail_timeout` has passed. Sluice tries such a request on the servers of all levels together, by
 * weight, and a success brings that server back. Consul's checks already decide which servers are listed at all.
 * Passive health only chooses among those, so it may prefer a server but never switch off a service: an attempt on a
 * doubtful server costs at worst the 502 that the client would get anyway. Failures of the other servers are kept, so
 * a server that answers is preferred at once to those that still do not. An upstream that is not protected has no
 * peer then.
 */
export class Upstream {
  readonly name: string;
  readonly limits: TargetOptions | null;
  readonly policy: PolicyName;
  /** Bounds its requests; `null`: nothing does. */
  readonly gate: Gate | null;
  readonly retryBudget: RetryBudget | null;
  readonly #keyOf: KeyOf | null;
  readonly #settings: PeerSettings | null;
  readonly #book: PeerBook;
  readonly #levels: readonly SlotLevel[];
  /** Every slot, in the order of levels. */
  readonly #all: SlotLevel;
  readonly #slots: readonly Slot[];
  readonly #turns: Turns;
  readonly #ward: Ward;
  readonly #filter: Filter;
  readonly #isProtected: boolean;
  readonly #outliers: Outliers | null;
  readonly #learning: Learning;
  /** The only server of a protected upstream, which is picked whatever it does; otherwise `null`. */
  readonly #only: Slot | null;
  /** Empty when there is only one server and it is protected. */
  readonly #slotsByPeer: ReadonlyMap<Peer, Slot>;
  /** Servers that the document marks as down, each with its level. */
  readonly #down: readonly { readonly server: Server; readonly level: number }[];
  /** Made when the first request stays with a server; `#tokens` is what it was made with. */
  #slotsByToken: ReadonlyMap<string, Slot> = new Map();
  #tokens: PeerTokens | null = null;
  #disposed = false;

  /**
   * Takes a reference in `book` for each address that is not down; `dispose` gives them back. An address that is
   * listed twice in a level gets the sum of its weights. A later level leaves out addresses that an earlier one has.
   * With `previous`, the upstream that this one replaces, the round goes on where it was, so that frequent changes do
   * not favour the first server.
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
    this.gate = options.gate ?? null;
    this.retryBudget =
      options.retryBudget === undefined
        ? (previous?.retryBudget ?? new RetryBudget(defaultRetryBudget))
        : options.retryBudget;
    this.#keyOf = options.keyOf ?? null;
    this.#settings = options.settings ?? null;
    this.#book = book;
    this.#isProtected = options.isProtected ?? true;
    this.#ward = new Ward(options.name, options.whole ?? options.name);
    this.#ward.sharesLoad = loadPolicies.has(this.policy) || hasLimits(levels);
    this.#filter = new Filter(this.#ward, book.random);
    const nowMs = book.now();
    this.#outliers =
      options.outliers == null
        ? null
        : new Outliers(options.outliers, nowMs, previous === null ? null : previous.#outliers);
    const before = new Map(
      (previous === null ? [] : previous.#slots).map((slot) => [slot.member, slot]),
    );
    const seen = new Set<Member>();
    this.#down = levels.flatMap(({ servers }, level) =>
      servers.filter(({ down }) => down === true).map((server) => ({ server, level })),
    );
    const slotsByLevel: (readonly Slot[])[] = [];
    for (const { servers } of levels) {
      const from = slotsByLevel.flat().length;
      const slots = listServers(nearFirst(servers, book.zone), book, seen, this.#settings).map(
        ({ server, member, weight }, at) =>
          new Slot(
            from + at,
            server,
            weight,
            member,
            options.limits,
            this.#ward,
            before.get(member),
          ),
      );
      if (slots.length > 0) slotsByLevel.push(slots);
    }
    this.#slots = slotsByLevel.flat();
    this.#ward.makeRoom(this.#slots.length);
    for (const slot of this.#slots) {
      // When the gateway starts, no server counts as new.
      if (slot.member.references === 1 && previous !== null && !before.has(slot.member))
        slot.member.availableMs = nowMs;
      slot.enter(nowMs, book.epochMs());
    }
    const turns = new Turns(this.#slots);
    this.#turns = turns;
    this.#levels = slotsByLevel.map(
      (slots) => new SlotLevel(slots, turns, this.policy, book.random, book.zone),
    );
    this.#all = new SlotLevel(this.#slots, turns, this.policy, book.random, null);
    this.#only = this.#slots.length === 1 && this.#isProtected ? (this.#slots[0] ?? null) : null;
    this.#slotsByPeer = new Map(
      this.#only === null ? this.#slots.map((slot) => [slot.peer, slot]) : [],
    );
    this.#learning = new Learning({
      ...{ name: this.name, policy: this.policy, slots: this.#slots, turns, book },
      ...{ isAlone: this.#only !== null, gate: this.gate, outliers: this.#outliers },
    });
    for (const slots of slotsByLevel) {
      if (previous === null) turns.begin(slots, book.random);
      else turns.continue(slots, previous.#turns, previous.#slots, book.random);
    }
  }

  /**
   * The key that keeps the request with one peer, for `pick`: the script's if it gave one, else the document's;
   * empty: none.
   */
  hashKey(request: KeySource, ofScript: string): string {
    return ofScript !== "" || this.#keyOf === null ? ofScript : this.#keyOf(request);
  }

  /** How many addresses it has, up or down. */
  get size(): number {
    return this.#slots.length;
  }

  /** Whether some server is well. It costs nothing to ask. */
  get hasWell(): boolean {
    return this.#ward.unwell < this.#slots.length;
  }

  /** Whether some server is not out. A server that is full counts, and so does one that has to prove itself. */
  isAvailable(nowMs: number): boolean {
    return this.hasWell || this.#slots.some((slot) => !slot.isOut(nowMs));
  }

  /**
   * Whether what goes to `peer` for long has to go elsewhere from now on: it is no server of this upstream any more or
   * fails its checks, and another one is not out. A server that an operator drained keeps what it has.
   */
  isLeft(peer: Peer, nowMs: number): boolean {
    const isGood = this.#slotOf(peer)?.failsChecks === false;
    return !isGood && this.isAvailable(nowMs);
  }

  /**
   * Returns where the next try goes; `null` when there is no peer left to try. Allocates nothing.
   * @param hashKey the same text gets the same peer as long as that peer is up, in the first level that has one which
   * is up; the next try goes to the next best. Empty: the policy decides.
   */
  pick(attempts: Attempts, nowMs: number, hashKey = ""): Target | null {
    // Only a request that began before a swap of tables can meet a retired peer here.
    const careful = attempts.tries > 0 || this.#disposed;
    const only = this.#only;
    if (only !== null)
      return only.isDrained || only.isFull || (careful && isSpent(only.peer, attempts))
        ? null
        : only.target;
    const key = hashKey === "" ? null : hashOf(hashKey);
    const filter = this.#filter;
    filter.set(attempts, nowMs, careful, key);
    const levels = this.#levels;
    for (let i = 0; i < levels.length; i += 1) {
      const level = levels[i];
      let slot = level?.choose(filter, key) ?? null;
      if (slot === null && filter.letIn()) slot = level?.choose(filter, key) ?? null;
      if (slot === null) continue;
      const member = slot.member;
      if (nowMs - member.checkedMs > slot.failTimeoutMs) {
        member.checkedMs = nowMs;
        member.probing = true;
      }
      return slot.target;
    }
    if (!this.#isProtected || attempts.tries >= mostTriesWhenOut) return null;
    filter.setLastResort();
    const slot = this.#all.choose(filter, key);
    if (slot === null) return null;
    slot.member.probing = true;
    return slot.target;
  }

  /**
   * The server with this token (`PeerTokens`), for a request that stays with it. `null` when it is not here, when it
   * may not be picked now, or when an earlier level is available again.
   */
  pickStuck(attempts: Attempts, nowMs: number, token: string, tokens: PeerTokens): Target | null {
    if (this.#tokens !== tokens) {
      this.#tokens = tokens;
      this.#slotsByToken = new Map(this.#slots.map((slot) => [tokens.of(slot.peer), slot]));
    }
    const slot = this.#slotsByToken.get(token);
    if (slot === undefined || slot.isBusyProving || slot.isFull || slot.isOut(nowMs)) return null;
    if ((attempts.tries > 0 || this.#disposed) && isSpent(slot.peer, attempts)) return null;
    // A slot whose share still grows keeps the clients that stay with it.
    if (this.#levels.length === 1) return slot.target;
    const own = this.#levels.findIndex(({ slots }) => slots.includes(slot));
    for (let i = 0; i < own; i += 1)
      if (this.#levels[i]?.slots.some((other) => !other.isOut(nowMs)) === true) return null;
    return slot.target;
  }

  /** The first of its peers that passes the test; `null` when none does. */
  find(test: (peer: Peer) => boolean): Peer | null {
    return this.#slots.find(({ peer }) => test(peer))?.peer ?? null;
  }

  /** Call it after `pick` returned `null` for a request that has not been tried yet. */
  whyNone(nowMs: number): WhyNone {
    const slots = this.#slots;
    if (slots.length === 0) return this.#down.length > 0 ? "all_drained" : "no_instance";
    if (slots.every((slot) => slot.isDrained)) return "all_drained";
    if (slots.some((slot) => slot.isFull && !slot.isDrained)) return "all_full";
    return slots.some((slot) => !slot.isDrained && slot.isEjected(nowMs))
      ? "all_ejected"
      : "checks_failing";
  }

  /**
   * What `pick` would return for a request that has not been tried yet. Changes neither the round nor anything else.
   */
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

  /** A try on `peer` failed; `why` says it in one clause. Does nothing for a peer of another upstream. */
  failed(peer: Peer, nowMs: number, why = ""): void {
    const slot = this.#slotOf(peer);
    if (slot !== undefined) this.#learning.failed(slot, nowMs, why);
  }

  /** `peer` answered. Called for each request, so it must cost no more than a look-up. */
  succeeded(peer: Peer): void {
    const slot = this.#slotOf(peer);
    if (slot !== undefined && slot.member.fails > 0) this.#learning.succeeded(slot);
  }

  /** A try on `peer` is over. `status` is the answer's, or 0 without one. */
  ended(
    peer: Peer,
    status: number,
    failure: PeerFailure | null,
    durationMs: number,
    nowMs: number,
  ): void {
    const slot = this.#slotOf(peer);
    if (slot !== undefined) this.#learning.ended(slot, status, failure, durationMs, nowMs);
  }

  #slotOf(peer: Peer): Slot | undefined {
    if (this.#only === null) return this.#slotsByPeer.get(peer);
    return this.#only.peer === peer ? this.#only : undefined;
  }

  /**
   * Gives up its references. A request that still holds the upstream may go on to pick; retired peers are skipped.
   */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const level of this.#levels) level.dispose();
    for (const slot of this.#slots) {
      slot.leave();
      this.#book.release(slot.member);
    }
  }

  /** Returns plain objects, for the admin API. */
  describe(nowMs: number): UpstreamStatus {
    // When all servers are out and are tried all the same, none of them counts as taken out.
    const isLastResort = this.#isProtected && this.#slots.every((slot) => slot.isOut(nowMs));
    const peers = this.#levels.flatMap(({ slots }, level) =>
      slots.map((slot) => {
        const effectiveWeight = this.#turns.effectiveOf(slot.index);
        const isWeighed = this.#settings?.[slot.peer.key]?.weight != null;
        const view = { level, effectiveWeight, isLastResort, isWeighed, nowMs };
        return slotStatus(slot, view);
      }),
    );
    const down = this.#down.map(({ server, level }) => downStatus(server, level));
    const bounds = boundsStatus(this.gate, this.retryBudget, nowMs);
    return { name: this.name, limits: this.limits, bounds, peers: [...peers, ...down] };
  }
}

/** In the written order, except that servers in the gateway's zone come first. */
function nearFirst(servers: readonly Server[], zone: NearZone | null): readonly Server[] {
  if (zone === null) return servers;
  const isNear = (server: Server) => server.zone === zone.name;
  return [...servers.filter(isNear), ...servers.filter((server) => !isNear(server))];
}

function hasLimits(levels: readonly Level[]): boolean {
  return levels.some(({ servers }) => servers.some(({ maxConns }) => maxConns !== undefined));
}

/** The addresses in a level that no earlier level has, each once. */
function listServers(
  servers: readonly Server[],
  book: PeerBook,
  seen: Set<Member>,
  settings: PeerSettings | null,
): readonly { readonly server: Server; readonly member: Member; readonly weight: number }[] {
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
  return [...listed].map(([member, { server, weight }]) => ({
    member,
    server,
    weight: settings?.[member.peer.key]?.weight ?? weight,
  }));
}
