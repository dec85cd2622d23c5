/**
 * The active checks of all upstreams whose documents ask for them: when each server is checked, how many at once, and
 * what so many results in a row mean. `probe.ts` makes each check and says how it ended.
 */
import { Peer } from "../../engine/engine.ts";
import type { HealthCheck, UpstreamDocument } from "../../model/index.ts";
import { formatAddress } from "../../settings-values.ts";
import type { Clock } from "../clock.ts";
import type { Verdict } from "./judges.ts";
import type { PeerHealthBook } from "./peer-health.ts";
import type { Probe } from "./probe.ts";

export interface ActiveChecksOptions {
  readonly health: Pick<PeerHealthBook, "claim">;
  readonly probe: Probe;
  /** Checks that may run at once. */
  readonly mostAtOnce: number;
  readonly clock: Clock;
  /** Numbers in [0, 1). */
  readonly random: () => number;
}

export interface ActiveChecksStatus {
  /** Servers that are checked; one in two upstreams counts twice. */
  readonly servers: number;
  /** Since the start. */
  readonly done: number;
  readonly failed: number;
  /** Those that had to wait because too many ran. */
  readonly late: number;
  readonly running: number;
  /** ISO 8601; `null`: none is over yet. */
  readonly lastAt: string | null;
}

/** A part of the interval by which each is earlier or later, so that checks do not all come at once. */
const jitter = 0.1;
/** A server that is new is checked within this, and so much longer for each that is checked already. */
const firstWithinMs = 1_000;
const firstWithinMsEach = 2;

interface Checked {
  readonly upstream: string;
  readonly peer: Peer;
  readonly address: string;
  check: HealthCheck;
  isWell: boolean;
  /** Results in a row that say otherwise than `isWell`. */
  against: number;
  cancel: () => void;
  isOver: boolean;
}

export class ActiveChecks {
  readonly #options: ActiveChecksOptions;
  /** What was checked last, by upstream, and its servers by address. */
  readonly #upstreams = new Map<
    string,
    { readonly document: UpstreamDocument; readonly servers: ReadonlyMap<string, Checked> }
  >();
  #servers = 0;
  #running = 0;
  #waiting: Checked[] = [];
  #done = 0;
  #failed = 0;
  #late = 0;
  #lastMs: number | null = null;

  constructor(options: ActiveChecksOptions) {
    this.#options = options;
  }

  /** These are the documents now. Servers that stay go on where they are. */
  follow(documents: ReadonlyMap<string, UpstreamDocument>): void {
    for (const [name, { servers }] of this.#upstreams) {
      if (documents.get(name)?.check !== undefined) continue;
      for (const one of servers.values()) this.#drop(one);
      this.#upstreams.delete(name);
    }
    for (const [name, document] of documents) {
      const known = this.#upstreams.get(name);
      if (document.check === undefined || known?.document === document) continue;
      const servers = this.#next(name, document, document.check, known?.servers ?? new Map());
      this.#upstreams.set(name, { document, servers });
    }
  }

  /** Whether a server of an upstream is checked. */
  has(upstream: string, address: string): boolean {
    return this.#upstreams.get(upstream)?.servers.has(address) ?? false;
  }

  status(): ActiveChecksStatus {
    return {
      servers: this.#servers,
      done: this.#done,
      failed: this.#failed,
      late: this.#late,
      running: this.#running,
      lastAt: this.#lastMs === null ? null : new Date(this.#lastMs).toISOString(),
    };
  }

  close(): void {
    for (const { servers } of this.#upstreams.values())
      for (const one of servers.values()) {
        one.isOver = true;
        one.cancel();
      }
    this.#upstreams.clear();
    this.#waiting = [];
  }

  #next(
    upstream: string,
    { levels }: UpstreamDocument,
    check: HealthCheck,
    before: ReadonlyMap<string, Checked>,
  ): ReadonlyMap<string, Checked> {
    const next = new Map<string, Checked>();
    for (const { servers } of levels)
      for (const { host, port, down } of servers) {
        const address = formatAddress({ host, port });
        if (down === true || next.has(address)) continue;
        const known = before.get(address);
        if (known !== undefined) {
          known.check = check;
          next.set(address, known);
          continue;
        }
        const fresh: Checked = {
          ...{ upstream, peer: new Peer(host, port), address, check },
          ...{ isWell: true, against: 0, cancel: () => {}, isOver: false },
        };
        next.set(address, fresh);
        // Servers that came together by the thousand would otherwise be checked together for ever.
        const withinMs = firstWithinMs + firstWithinMsEach * this.#servers;
        this.#servers += 1;
        this.#plan(fresh, Math.min(withinMs, check.intervalMs) * this.#options.random());
      }
    for (const [address, one] of before) if (!next.has(address)) this.#drop(one);
    return next;
  }

  #drop(one: Checked): void {
    one.isOver = true;
    one.cancel();
    this.#servers -= 1;
    const { upstream, address } = one;
    this.#options.health.claim(address, { source: "check", upstream }, null);
  }

  #plan(one: Checked, inMs: number): void {
    // Whole hundredths of a second: timers of one length are cheap.
    const delayMs = Math.max(10, Math.round(inMs / 10) * 10);
    one.cancel = this.#options.clock.after(delayMs, () => this.#start(one));
  }

  #start(one: Checked): void {
    if (this.#running >= this.#options.mostAtOnce) {
      this.#late += 1;
      this.#waiting.push(one);
      one.cancel = () => {
        this.#waiting = this.#waiting.filter((waiting) => waiting !== one);
      };
      return;
    }
    this.#running += 1;
    const giveUp = this.#options.probe(one.peer, one.check, (verdict) => {
      this.#end();
      this.#note(one, verdict);
    });
    one.cancel = () => {
      giveUp();
      this.#end();
    };
  }

  #end(): void {
    this.#running -= 1;
    const next = this.#waiting.shift();
    if (next !== undefined) this.#start(next);
  }

  #note(one: Checked, verdict: Verdict): void {
    const { clock, random, health } = this.#options;
    this.#done += 1;
    this.#lastMs = clock.now();
    if (verdict !== null) this.#failed += 1;
    if (one.isOver) return;
    const { intervalMs, rise, fall } = one.check;
    this.#plan(one, intervalMs * (1 + jitter * (2 * random() - 1)));
    const isWell = verdict === null;
    one.against = isWell === one.isWell ? 0 : one.against + 1;
    const hasTurned = one.against >= (isWell ? rise : fall);
    if (hasTurned) {
      one.isWell = isWell;
      one.against = 0;
    }
    const { upstream, address } = one;
    const claimant = { source: "check", upstream } as const;
    if (hasTurned && isWell) health.claim(address, claimant, null);
    else if (!one.isWell && verdict !== null)
      health.claim(address, claimant, { code: "check_failed", message: verdict });
  }
}
