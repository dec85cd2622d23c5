/**
 * The rate limits in one worker. The worker gets tokens from the primary, which counts for all workers, so together
 * they never let through more than the rate and the burst. They may let through less, by at most what each worker
 * holds in advance: its part of the rate for `leaseMs`, or one token. A worker that gets no answer counts by itself
 * until the primary answers again, so no request waits for a primary that is known to be silent.
 */
import { detached, RecentMap, type TokenAsk, type TokenGrant } from "../model/index.ts";
import { leaseMs, TokenBuckets } from "./token-buckets.ts";

export interface RateLimitsOptions {
  /** Sends the asks. `onGrants` gets the answers, in the same order. */
  readonly send: (batch: number, asks: readonly TokenAsk[]) => void;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly log: { warn(fields: object, message: string): void };
}

/** The tokens for one key that this worker has, or knows to be used up. */
interface Lease {
  tokens: number;
  /** From then on the tokens are void; kept longer, they would add to a later burst. */
  untilMs: number;
  /** Nobody gets a token before then. */
  refusedUntilMs: number;
  /** Requests that wait for the answer; `null`: none was asked for. */
  waiting: OnAnswer[] | null;
}

type OnAnswer = (waitMs: number) => void;

/**
 * How many keys are remembered, for all limits together. The least recently used are forgotten, and asked for again.
 */
const maxKeys = 100_000;
/** After so long without an answer, the worker counts by itself. */
const answerTimeoutMs = 250;
/** How many requests may wait for one key. The worker itself counts the others. */
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

  /** @param name identifies the limit: limits with the same name in all workers are one limit. */
  limit(name: string, rate: { readonly perSecond: number; readonly burst: number }) {
    return new RateLimit(this, name, rate, this.#options.now);
  }

  /** Whether the primary has left a batch without an answer and has not answered since. */
  get isAlone(): boolean {
    return this.#isAlone;
  }

  /** Takes the primary's answer to a batch. Even an answer that comes too late shows that the primary is back. */
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

  /** `key` includes the name of its limit. */
  lease(key: string): Lease | undefined {
    return this.#kept.get(key);
  }

  keepLease(key: string, lease: Lease): void {
    this.#kept.set(key, lease);
  }

  /** Asks the primary, together with all other asks in this turn of the event loop. */
  ask(ask: TokenAsk, lease: Lease): void {
    if (this.#asks.length === 0) setImmediate(() => this.#flush());
    this.#asks.push(ask);
    this.#leases.push(lease);
  }

  /** Takes a token by this worker's own count. Returns how many milliseconds to wait; 0 when there was a token. */
  takeOwn(ask: TokenAsk): number {
    const { tokens, waitMs } = this.#own.take({ ...ask, wanted: 1 }, this.#options.now());
    return tokens > 0 ? 0 : waitMs;
  }

  #flush(): void {
    // Requests that came after the first ask wait for the same answer.
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
    // More requests came in the meantime, and there may be more tokens.
    if (waiting.length > 0 && waitMs === 0) {
      lease.waiting = waiting;
      this.ask({ ...ask, wanted: waiting.length }, lease);
    } else for (const onAnswer of waiting) onAnswer(waitMs);
    for (const onAnswer of served) onAnswer(0);
  }

  /** One timer serves all batches that wait for an answer. */
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
    // The channel keeps what was sent, so the answer comes when the primary goes on.
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

/** One limit in one worker, which a plugin gets as a tool. */
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
