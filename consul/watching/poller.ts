/**
 * Asks for many keys, each by one plain query: first those that were never asked for, then those that are said
 * to have changed, then all in turn at a bounded rate. It serves what blocking queries cannot, because Consul
 * serves one address some 200 connections at once.
 */
import { Backoff } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import { Rate } from "./rate.ts";

/** Queries a second in turn: 1 ms of Consul's time each (measured on 1.8.7), so 5 % of a core. */
const turnsPerSecond = 50;
/** Keys that are said to have changed are asked for at this rate a second, after a burst of twice as many. */
const urgentPerSecond = 250;
const maxAtOnce = 8;
/** A key is not asked for in turn more often than this. */
const minIntervalMs = 1_000;
/** How often a key is asked for whose changes are reported, in case a report was lost. */
const toldIntervalMs = 5 * 60_000;
const errorBackoff = { baseMs: 100, maxMs: 10_000 };

export interface PollerOptions {
  readonly clock: Clock;
  readonly random: () => number;
  /** One query; rejects when it failed. Its signal aborts at the deadline and at `stop`. */
  readonly poll: (key: string, signal: AbortSignal) => Promise<void>;
  /** Since when every change of a key that was added as `told` is followed by `urge`; `null`: it is not now. */
  readonly toldSince?: () => number | null;
  /** Default 10000. */
  readonly deadlineMs?: number;
}

interface Attempt {
  readonly abort: () => void;
  readonly end: Promise<void>;
}

/** Key -> when it was asked for last; in the order of that. */
type Turns = Map<string, number>;

export class Poller {
  readonly #options: PollerOptions;
  readonly #backoff: Backoff;
  readonly #told: Turns = new Map();
  readonly #untold: Turns = new Map();
  /** Keys that were never asked for. */
  readonly #fresh = new Set<string>();
  readonly #urgent = new Set<string>();
  /** What failed last time, and when it is asked for again. */
  readonly #failed = new Map<string, { readonly backoff: Backoff; readonly againAt: number }>();
  readonly #underWay = new Map<string, Attempt>();
  readonly #urgentRate: Rate;
  readonly #turnRate: Rate;
  #cancelTimer: (() => void) | null = null;
  #pausedUntil = 0;
  #isStopped = false;

  constructor(options: PollerOptions) {
    this.#options = options;
    this.#backoff = new Backoff(errorBackoff, options.random);
    const now = options.clock.now();
    this.#urgentRate = new Rate(urgentPerSecond, 2 * urgentPerSecond, now);
    this.#turnRate = new Rate(turnsPerSecond, 1, now);
  }

  get size(): number {
    return this.#told.size + this.#untold.size;
  }

  has(key: string): boolean {
    return this.#told.has(key) || this.#untold.has(key);
  }

  /** Asks for `key` now, and from now on. `isTold`: whether `toldSince` is about it. */
  add(key: string, isTold = false): void {
    if (this.has(key)) return;
    (isTold ? this.#told : this.#untold).set(key, 0);
    this.#fresh.add(key);
    this.#run();
  }

  remove(key: string): void {
    this.#told.delete(key);
    this.#untold.delete(key);
    this.#fresh.delete(key);
    this.#urgent.delete(key);
    this.#failed.delete(key);
    this.#underWay.get(key)?.abort();
  }

  /** Asks for `key` before all that are only in turn. Does nothing when it is not polled. */
  urge(key: string): void {
    if (!this.has(key) || this.#fresh.has(key)) return;
    this.#urgent.add(key);
    this.#run();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelTimer?.();
    const all = [...this.#underWay.values()];
    for (const { abort } of all) abort();
    await Promise.all(all.map(({ end }) => end));
  }

  /** Begins what may begin, and comes back when more may. */
  #run(): void {
    if (this.#isStopped) return;
    const now = this.#options.clock.now();
    while (this.#underWay.size < maxAtOnce && now >= this.#pausedUntil) {
      const key = this.#choose(now);
      if (key === null) break;
      this.#begin(key, now);
    }
    if (this.#cancelTimer !== null || this.size === 0) return;
    this.#cancelTimer = this.#options.clock.after(1000 / turnsPerSecond, () => {
      this.#cancelTimer = null;
      this.#run();
    });
  }

  #choose(now: number): string | null {
    const free = (key: string) => !this.#underWay.has(key);
    const fresh = this.#fresh.values().find(free);
    if (fresh !== undefined) return fresh;
    const failed = this.#failed
      .entries()
      .find(([key, { againAt }]) => againAt <= now && free(key))?.[0];
    const urgent = failed ?? this.#urgent.values().find(free);
    if (urgent !== undefined && this.#urgentRate.take(now)) return urgent;
    const since = this.#options.toldSince?.() ?? null;
    const due =
      this.#oldest(this.#untold, (askedAt) => now - askedAt >= minIntervalMs) ??
      this.#oldest(this.#told, (askedAt) => {
        const isKnown = since !== null && askedAt >= since;
        return now - askedAt >= (isKnown ? toldIntervalMs : minIntervalMs);
      });
    return due !== null && this.#turnRate.take(now) ? due : null;
  }

  #oldest(turns: Turns, isDue: (askedAt: number) => boolean): string | null {
    const [oldest] = turns;
    if (oldest === undefined) return null;
    const [key, askedAt] = oldest;
    return isDue(askedAt) && !this.#underWay.has(key) ? key : null;
  }

  #begin(key: string, now: number): void {
    this.#fresh.delete(key);
    this.#urgent.delete(key);
    // Deleted and set again, so that the map stays in the order of asking.
    const turns = this.#told.has(key) ? this.#told : this.#untold;
    turns.delete(key);
    turns.set(key, now);
    const attempt = new AbortController();
    const abort = () => attempt.abort();
    const cancel = this.#options.clock.after(this.#options.deadlineMs ?? 10_000, () =>
      attempt.abort(new DOMException("The poll took too long", "TimeoutError")),
    );
    const end = this.#ask(key, attempt.signal).finally(() => {
      cancel();
      this.#underWay.delete(key);
      this.#run();
    });
    this.#underWay.set(key, { abort, end });
  }

  async #ask(key: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#options.poll(key, signal);
      this.#failed.delete(key);
      this.#backoff.ease();
    } catch {
      // The owner of the key keeps the error for its status; here it only slows polling down.
      if (!this.has(key)) return;
      const now = this.#options.clock.now();
      const backoff =
        this.#failed.get(key)?.backoff ?? new Backoff(errorBackoff, this.#options.random);
      this.#failed.set(key, { backoff, againAt: now + backoff.next() });
      this.#pausedUntil = now + this.#backoff.next();
    }
  }
}
