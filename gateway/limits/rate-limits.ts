/**
 * The rate limits of one worker. What it may let through it has from the primary, which counts for all workers: so
 * together they never let more through than the rate and the burst, and less by at most what each holds in
 * advance, which is its part of `leaseMs` of the rate, or one. A worker that gets no answer counts by itself, until
 * it hears of the primary again: no request waits for a primary that is known to be silent.
 */
import { detached, RecentMap, type TokenAsk, type TokenGrant } from "../model/index.ts";
import { leaseMs, TokenBuckets } from "./token-buckets.ts";

export interface RateLimitsOptions {
  /** Sends what `onGrants` is to bring the answer to, in the same order. */
  readonly send: (batch: number, asks: readonly TokenAsk[]) => void;
  /** Milliseconds of a clock that does not go back. */
  readonly now: () => number;
  readonly log: { warn(fields: object, message: string): void };
}

/** Tokens of one key that this worker has, or knows not to be there. */
interface Lease {
  tokens: number;
  /** The tokens are void from then on: what was held in advance would add to a later burst. */
  untilMs: number;
  /** Nobody gets a token before. */
  refusedUntilMs: number;
  /** Requests that wait for the answer; `null`: nobody asked. */
  waiting: OnAnswer[] | null;
}

type OnAnswer = (waitMs: number) => void;

/** Keys of all limits together that are remembered; beyond them the oldest are asked for again. */
const maxKeys = 100_000;
/** Without an answer for so long, the worker counts by itself. */
const answerTimeoutMs = 250;
/** Requests that wait for one key; more are counted by the worker itself. */
const maxWaiting = 1_000;

interface Batch {
  readonly sentMs: number;
  readonly asks: readonly TokenAsk[];
  readonly leases: readonly Lease[];
}

export class RateLimits {
  readonly #options: RateLimitsOptions;
  readonly #own = new TokenBuckets(1);
  readonly #kept = new RecentMap<Lease>(maxKeys);
  #asks: TokenAsk[] = [];
  #leases: Lease[] = [];
  readonly #batches = new Map<number, Batch>();
  #lastBatch = 0;
  #isTimed = false;
  #isAlone = false;
  #toldMs = Number.NEGATIVE_INFINITY;

  constructor(options: RateLimitsOptions) {
    this.#options = options;
  }

  /** @param name tells this limit from others: limits of one name in all workers are the same one. */
  limit(name: string, rate: { readonly perSecond: number; readonly burst: number }) {
    return new RateLimit(this, name, rate, this.#options.now);
  }

  /** Whether the primary left a batch without an answer, and has not been heard of since. */
  get isAlone(): boolean {
    return this.#isAlone;
  }

  /** The primary's answer to a batch. One that comes too late shows at least that the primary is back. */
  onGrants(batch: number, grants: readonly TokenGrant[]): void {
    this.#isAlone = false;
    const sent = this.#batches.get(batch);
    if (sent === undefined) return;
    this.#batches.delete(batch);
    sent.leases.forEach((lease, at) => {
      const ask = sent.asks[at];
      if (ask !== undefined) this.#settle(lease, ask, grants[at] ?? { tokens: 0, waitMs: 1_000 });
    });
  }

  /** `key`: with the name of its limit. */
  lease(key: string): Lease | undefined {
    return this.#kept.get(key);
  }

  keepLease(key: string, lease: Lease): void {
    this.#kept.set(key, lease);
  }

  /** Asks with all others of this turn of the event loop. */
  ask(ask: TokenAsk, lease: Lease): void {
    if (this.#asks.length === 0) setImmediate(() => this.#flush());
    this.#asks.push(ask);
    this.#leases.push(lease);
  }

  /** As this worker counts by itself. */
  takeOwn(ask: TokenAsk): number {
    const { tokens, waitMs } = this.#own.take({ ...ask, wanted: 1 }, this.#options.now());
    return tokens > 0 ? 0 : waitMs;
  }

  #flush(): void {
    // Those who came since the first one asked wait as well.
    const asks = this.#asks.map((ask, at) => ({
      ...ask,
      wanted: this.#leases[at]?.waiting?.length ?? ask.wanted,
    }));
    this.#lastBatch += 1;
    this.#batches.set(this.#lastBatch, {
      sentMs: this.#options.now(),
      asks,
      leases: this.#leases,
    });
    this.#asks = [];
    this.#leases = [];
    this.#options.send(this.#lastBatch, asks);
    this.#time();
  }

  #settle(lease: Lease, ask: TokenAsk, { tokens, waitMs }: TokenGrant): void {
    const nowMs = this.#options.now();
    const waiting = lease.waiting ?? [];
    lease.waiting = null;
    lease.refusedUntilMs = nowMs + waitMs;
    const served = waiting.splice(0, tokens);
    lease.tokens = tokens - served.length;
    lease.untilMs = nowMs + 2 * leaseMs;
    // More came while it was asked, and there may be more tokens.
    if (waiting.length > 0 && waitMs === 0) {
      lease.waiting = waiting;
      this.ask({ ...ask, wanted: waiting.length }, lease);
    } else for (const onAnswer of waiting) onAnswer(waitMs);
    for (const onAnswer of served) onAnswer(0);
  }

  /** One timer for all that wait. */
  #time(): void {
    if (this.#isTimed) return;
    this.#isTimed = true;
    setTimeout(() => {
      this.#isTimed = false;
      const dueMs = this.#options.now() - answerTimeoutMs;
      for (const [id, batch] of this.#batches) {
        if (batch.sentMs > dueMs) continue;
        this.#batches.delete(id);
        this.#countByItself(batch);
      }
      if (this.#batches.size > 0) this.#time();
    }, answerTimeoutMs).unref();
  }

  #countByItself({ asks, leases }: Batch): void {
    // The channel keeps what was sent: whenever the primary goes on, its answer comes.
    this.#isAlone = true;
    const nowMs = this.#options.now();
    if (nowMs - this.#toldMs > 10_000) {
      this.#toldMs = nowMs;
      this.#options.log.warn(
        { limit: asks[0]?.limit },
        "the primary does not answer: this worker counts rate limits by itself",
      );
    }
    asks.forEach((ask, at) => {
      const lease = leases[at];
      const waiting = lease?.waiting ?? [];
      if (lease !== undefined) lease.waiting = null;
      for (const onAnswer of waiting) onAnswer(this.takeOwn(ask));
    });
  }
}

/** One limit of a worker: what a plugin gets as its tool. */
class RateLimit {
  readonly #limits: RateLimits;
  readonly #name: string;
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #now: () => number;

  constructor(
    limits: RateLimits,
    name: string,
    { perSecond, burst }: { readonly perSecond: number; readonly burst: number },
    now: () => number,
  ) {
    this.#limits = limits;
    this.#name = name;
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#now = now;
  }

  take(key: string): number {
    const lease = this.#limits.lease(this.#keyOf(key));
    if (lease !== undefined) {
      const nowMs = this.#now();
      if (lease.tokens > 0 && nowMs < lease.untilMs) {
        lease.tokens -= 1;
        return 0;
      }
      if (nowMs < lease.refusedUntilMs) return lease.refusedUntilMs - nowMs;
    }
    return this.#limits.isAlone ? this.#limits.takeOwn(this.#askFor(key)) : -1;
  }

  ask(key: string, onAnswer: OnAnswer): void {
    const ask = this.#askFor(key);
    let lease = this.#limits.lease(this.#keyOf(key));
    if (lease === undefined) {
      lease = { tokens: 0, untilMs: 0, refusedUntilMs: 0, waiting: null };
      this.#limits.keepLease(this.#keyOf(detached(key)), lease);
    }
    if (lease.waiting === null) {
      lease.waiting = [onAnswer];
      this.#limits.ask(ask, lease);
    } else if (lease.waiting.length < maxWaiting) lease.waiting.push(onAnswer);
    else setImmediate(() => onAnswer(this.#limits.takeOwn(ask)));
  }

  #keyOf(key: string): string {
    return `${this.#name}\n${key}`;
  }

  #askFor(key: string): TokenAsk {
    return {
      limit: this.#name,
      key,
      perSecond: this.#perSecond,
      burst: this.#burst,
      wanted: 1,
    };
  }
}
