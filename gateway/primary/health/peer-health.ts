/**
 * The health of every address that is not simply well: takes claims from all who may make one, and serves and
 * logs the result. It makes no check and picks no peer.
 */
import {
  type HealthReason,
  type HealthSource,
  type HealthState,
  type PeerFinding,
  type PeerHealth,
  type Served,
  stateOf,
} from "../../model/index.ts";
import type { Log } from "../../observability/logger.ts";
import type { Clock } from "../clock.ts";

/** What somebody says of an address. */
export type Claim = Pick<HealthReason, "code" | "message">;

/** Whose word it is: a source has one for each upstream, and one for all of them (`null`). */
export interface Claimant {
  readonly source: HealthSource;
  readonly upstream: string | null;
}

export interface PeerHealthOptions {
  readonly serve: (changes: readonly Served[]) => void;
  readonly clock: Clock;
  readonly log: Log;
}

/** Addresses that may be kept at once, those that left long ago included. */
const mostAddresses = 50_000;
/** An address that has been well for so many times its last ejection is ejected as if it were the first time. */
const forgiveFactor = 3;

/** An address as `/status` shows it; times are ISO 8601. */
export interface UnwellPeer {
  readonly address: string;
  readonly state: HealthState;
  readonly since: string;
  readonly reasons: readonly (Omit<HealthReason, "sinceMs" | "untilMs"> & {
    readonly since: string;
    readonly until: string | null;
  })[];
}

export interface UnwellPeers {
  readonly err: number;
  readonly unstable: number;
  /** Of state, since the start. */
  readonly changes: number;
  /** The first of them. */
  readonly peers: readonly UnwellPeer[];
}

/** Unwell addresses that `/status` shows. */
const mostListed = 1_000;

interface Ejections {
  /** In a row. */
  count: number;
  /** Monotonic: when the last one ends, and how long it was. */
  endsMs: number;
  lastMs: number;
}

interface Known {
  /** By claimant. */
  readonly reasons: Map<string, HealthReason>;
  readonly ejections: Map<string, Ejections>;
  readonly timers: Map<string, () => void>;
  state: HealthState;
  sinceMs: number;
}

export class PeerHealthBook {
  readonly #options: PeerHealthOptions;
  readonly #known = new Map<string, Known>();
  #changes = 0;

  constructor(options: PeerHealthOptions) {
    this.#options = options;
  }

  /** The addresses that are not simply well, those that are out first, in the order of the alphabet; a bounded number. */
  list(): UnwellPeers {
    const all: UnwellPeer[] = [];
    for (const address of this.#known.keys()) {
      const health = this.of(address);
      if (health === null) continue;
      const { state, reasons, sinceMs } = health;
      const since = toIso(sinceMs);
      const told = reasons.map(({ source, upstream, code, message, ...times }) => {
        const until = times.untilMs === null ? null : toIso(times.untilMs);
        return { source, upstream, code, message, since: toIso(times.sinceMs), until };
      });
      all.push({ address, state, since, reasons: told });
    }
    const rank = ({ state, address }: UnwellPeer) => `${state === "err" ? 0 : 1} ${address}`;
    all.sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
    const counts = { err: 0, unstable: 0 };
    for (const { state } of all) if (state !== "ok") counts[state] += 1;
    return { ...counts, changes: this.#changes, peers: all.slice(0, mostListed) };
  }

  /** `null`: it is simply well. */
  of(address: string): PeerHealth | null {
    const known = this.#known.get(address);
    return known === undefined ? null : healthOf(known);
  }

  /** Says something of an address, instead of what the claimant said before; `null` takes that back. */
  claim(address: string, claimant: Claimant, claim: Claim | null): void {
    const before = this.#known.get(address)?.reasons.get(idOf(claimant));
    if (claim === null && before === undefined) return;
    if (claim !== null && before?.code === claim.code && before.message === claim.message) return;
    const sinceMs = before !== undefined && before.code === claim?.code ? before.sinceMs : null;
    const reason = claim === null ? null : this.#reason(claimant, claim, sinceMs, null);
    this.#set(address, claimant, reason);
  }

  /** Takes what a worker found. Other workers may have found and reported the same. */
  take({ address, upstream, code, message, forMs, maxForMs }: PeerFinding): void {
    const claimant: Claimant = { source: "passive", upstream };
    if (code === "recovered") {
      if (this.#known.get(address)?.reasons.has(idOf(claimant)) === true)
        this.#set(address, claimant, null);
      return;
    }
    const { clock } = this.#options;
    const known = this.#open(address);
    if (known === null) return;
    const id = idOf(claimant);
    const nowMs = clock.ticks();
    const ejections = known.ejections.get(id) ?? { count: 0, endsMs: nowMs, lastMs: 0 };
    known.ejections.set(id, ejections);
    const before = known.reasons.get(id);
    const isOut = before !== undefined && before.code !== "recovering";
    if (!isOut) {
      const healedMs = before === undefined ? nowMs - ejections.endsMs : 0;
      if (healedMs > forgiveFactor * ejections.lastMs) ejections.count = 0;
      ejections.count += 1;
    }
    const lengthMs = Math.min(forMs * ejections.count, Math.max(forMs, maxForMs));
    // A later report does not shorten the ejection, and simultaneous reports of the same do not lengthen it.
    const untilMs = Math.max(before?.untilMs ?? 0, clock.now() + lengthMs);
    if (isOut && before.untilMs !== null && untilMs - before.untilMs < lengthMs / 10) return;
    ejections.lastMs = lengthMs;
    ejections.endsMs = nowMs + lengthMs;
    const sinceMs = isOut ? before.sinceMs : null;
    this.#set(address, claimant, this.#reason(claimant, { code, message }, sinceMs, untilMs));
    known.timers.get(id)?.();
    known.timers.set(
      id,
      clock.after(lengthMs, () => this.#endEjection(address, claimant, message)),
    );
  }

  /** Forgets addresses that nobody names any more, except what operators said about them. */
  keep(isNamed: (address: string, upstream: string | null) => boolean): void {
    for (const [address, { reasons }] of this.#known)
      for (const { source, upstream } of [...reasons.values()])
        if (source !== "admin" && !isNamed(address, upstream))
          this.#set(address, { source, upstream }, null);
    const nowMs = this.#options.clock.ticks();
    for (const [address, { reasons, ejections }] of this.#known) {
      const isForgiven = ({ endsMs, lastMs }: Ejections) => nowMs - endsMs > forgiveFactor * lastMs;
      if (reasons.size === 0 && [...ejections.values()].every(isForgiven))
        this.#known.delete(address);
    }
  }

  /** How many addresses it knows something of. */
  get size(): number {
    return this.#known.size;
  }

  close(): void {
    for (const { timers } of this.#known.values()) for (const cancel of timers.values()) cancel();
    this.#known.clear();
  }

  #endEjection(address: string, claimant: Claimant, message: string): void {
    const known = this.#known.get(address);
    const id = idOf(claimant);
    known?.timers.delete(id);
    if (known?.reasons.get(id)?.untilMs == null) return;
    const claim: Claim = { code: "recovering", message: `was out: ${message}` };
    this.#set(address, claimant, this.#reason(claimant, claim, null, null));
  }

  #reason(
    { source, upstream }: Claimant,
    { code, message }: Claim,
    sinceMs: number | null,
    untilMs: number | null,
  ): HealthReason {
    const now = this.#options.clock.now();
    return { source, upstream, code, message, sinceMs: sinceMs ?? now, untilMs };
  }

  #open(address: string): Known | null {
    const known = this.#known.get(address);
    if (known !== undefined) return known;
    if (this.#known.size >= mostAddresses) return null;
    const sinceMs = this.#options.clock.now();
    const fresh: Known = {
      reasons: new Map(),
      ejections: new Map(),
      timers: new Map(),
      state: "ok",
      sinceMs,
    };
    this.#known.set(address, fresh);
    return fresh;
  }

  #set(address: string, claimant: Claimant, reason: HealthReason | null): void {
    const known = reason === null ? this.#known.get(address) : this.#open(address);
    if (known === undefined || known === null) return;
    const { clock, serve } = this.#options;
    const id = idOf(claimant);
    const before = known.reasons.get(id) ?? null;
    if (reason === null) {
      known.reasons.delete(id);
      known.timers.get(id)?.();
      known.timers.delete(id);
      const ejections = known.ejections.get(id);
      if (ejections !== undefined) ejections.endsMs = clock.ticks();
    } else known.reasons.set(id, reason);
    const state = worst(known.reasons.values());
    const stateBefore = known.state;
    if (state !== stateBefore) {
      known.state = state;
      known.sinceMs = clock.now();
      this.#changes += 1;
    }
    const value = healthOf(known);
    serve([{ kind: "health", key: address, value }]);
    if (before?.code !== reason?.code) this.#record(address, claimant, stateBefore, before, reason);
  }

  /** One record for each change. */
  #record(
    address: string,
    { source, upstream }: Claimant,
    from: HealthState,
    before: HealthReason | null,
    reason: HealthReason | null,
  ): void {
    const { log } = this.#options;
    const state = this.of(address)?.state ?? "ok";
    const where = upstream === null ? address : `${address} of upstream ${upstream}`;
    const said = reason ?? before;
    const what =
      reason === null ? `no longer ${before?.code ?? ""}` : `${reason.code}: ${reason.message}`;
    const until = reason?.untilMs == null ? {} : { until: new Date(reason.untilMs).toISOString() };
    const fields = { peer: address, upstream, source, code: said?.code, from, state, ...until };
    log[state === "err" && reason !== null ? "warn" : "info"](
      fields,
      `peer ${where} is ${state} (was ${from}): ${what}`,
    );
  }
}

function toIso(ms: number): string {
  return new Date(ms).toISOString();
}

function idOf({ source, upstream }: Claimant): string {
  return `${source} ${upstream ?? ""}`;
}

function healthOf({ reasons, state, sinceMs }: Known): PeerHealth | null {
  return reasons.size === 0 ? null : { state, reasons: [...reasons.values()], sinceMs };
}

function worst(reasons: Iterable<HealthReason>): HealthState {
  let state: HealthState = "ok";
  for (const { code } of reasons) {
    if (stateOf(code) === "err") return "err";
    state = "unstable";
  }
  return state;
}
