/**
 * Asks for many things in turn at a bounded rate: the least recently asked first, the urgent before
 * all. Carries what blocking queries cannot: Consul serves one address some 200 connections at once.
 */
import { Backoff } from "./backoff.ts";
import type { Clock } from "./clock.ts";

/** Queries a second over all keys: 1 ms of Consul's time each (measured on 1.8.7), so 5 % of a core. */
export const pollsPerSecond = 50;
const maxAtOnce = 8;
/** A key is not asked for more often than this, unless it is urgent. */
const minIntervalMs = 1_000;
const errorBackoff = { baseMs: 100, maxMs: 10_000 };

export interface PollerOptions {
  readonly clock: Clock;
  readonly random: () => number;
  /** One query; rejects when it failed. Its signal aborts at the deadline and at `stop`. */
  readonly poll: (key: string, signal: AbortSignal) => Promise<void>;
  /** Default 10000. */
  readonly deadlineMs?: number;
}

export class Poller {
  readonly #options: PollerOptions;
  readonly #backoff: Backoff;
  /** Key -> when it was asked for last; in the order of that. 0: never. */
  readonly #keys = new Map<string, number>();
  readonly #urgent = new Set<string>();
  readonly #underWay = new Map<
    string,
    { readonly abort: () => void; readonly end: Promise<void> }
  >();
  #cancelTick: (() => void) | null = null;
  #pausedUntil = 0;
  #isStopped = false;

  constructor(options: PollerOptions) {
    this.#options = options;
    this.#backoff = new Backoff(errorBackoff, options.random);
  }

  get size(): number {
    return this.#keys.size;
  }

  has(key: string): boolean {
    return this.#keys.has(key);
  }

  /** Polls `key` from now on, beginning as soon as the rate allows. */
  add(key: string): void {
    if (this.#keys.has(key)) return;
    this.#keys.set(key, 0);
    this.urge(key);
  }

  remove(key: string): void {
    this.#keys.delete(key);
    this.#urgent.delete(key);
    this.#underWay.get(key)?.abort();
  }

  /** Asks for `key` before all that are not urgent. Does nothing when it is not polled. */
  urge(key: string): void {
    if (!this.#keys.has(key)) return;
    this.#urgent.add(key);
    this.#schedule();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelTick?.();
    const all = [...this.#underWay.values()];
    for (const { abort } of all) abort();
    await Promise.all(all.map(({ end }) => end));
  }

  #schedule(): void {
    if (this.#cancelTick !== null || this.#isStopped || this.#keys.size === 0) return;
    this.#cancelTick = this.#options.clock.after(1000 / pollsPerSecond, () => {
      this.#cancelTick = null;
      this.#tick();
      this.#schedule();
    });
  }

  #tick(): void {
    const now = this.#options.clock.now();
    if (now < this.#pausedUntil || this.#underWay.size >= maxAtOnce) return;
    const key = this.#choose(now);
    if (key === null) return;
    this.#urgent.delete(key);
    // Deleted and set again, so that the map stays in the order of asking.
    this.#keys.delete(key);
    this.#keys.set(key, now);
    const attempt = new AbortController();
    const abort = () => attempt.abort();
    const cancel = this.#options.clock.after(this.#options.deadlineMs ?? 10_000, () =>
      attempt.abort(new DOMException("The poll took too long", "TimeoutError")),
    );
    const end = this.#ask(key, attempt.signal).finally(() => {
      cancel();
      this.#underWay.delete(key);
    });
    this.#underWay.set(key, { abort, end });
  }

  #choose(now: number): string | null {
    for (const key of this.#urgent) if (!this.#underWay.has(key)) return key;
    const [oldest] = this.#keys;
    if (oldest === undefined) return null;
    const [key, askedAt] = oldest;
    return now - askedAt >= minIntervalMs && !this.#underWay.has(key) ? key : null;
  }

  async #ask(key: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#options.poll(key, signal);
      this.#backoff.reset();
    } catch {
      // Whoever polls has kept the error for its status; here it only slows all polling down.
      if (this.#keys.has(key)) this.#pausedUntil = this.#options.clock.now() + this.#backoff.next();
    }
  }
}
