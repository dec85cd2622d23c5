/**
 * Token buckets by key, for the rate limits of plugins. The primary keeps those for the whole gateway; a worker that
 * does not hear from it uses its own.
 */
import { RecentMap, type TokenAsk, type TokenGrant } from "../model/index.ts";

/** How much of a rate a worker may get in advance, so that it need not ask for each request. */
export const leaseMs = 50;

interface Bucket {
  level: number;
  /** When the bucket had this level. */
  atMs: number;
}

/**
 * A client that can choose keys (by a header, say) could fill the memory, so the least recently used buckets are
 * dropped.
 */
const maxBuckets = 200_000;

export class TokenBuckets {
  readonly #buckets = new RecentMap<Bucket>(maxBuckets);
  readonly #shares: number;

  /** @param shares how many workers share what a rate gives in advance. */
  constructor(shares: number) {
    this.#shares = shares;
  }

  /** `nowMs`: monotonic milliseconds. */
  take({ limit, key, perSecond, burst, wanted }: TokenAsk, nowMs: number): TokenGrant {
    const name = `${limit}\n${key}`;
    let bucket = this.#buckets.get(name);
    if (bucket === undefined) {
      bucket = { level: burst, atMs: nowMs };
      this.#buckets.set(name, bucket);
    }
    bucket.level = Math.min(burst, bucket.level + ((nowMs - bucket.atMs) * perSecond) / 1_000);
    bucket.atMs = nowMs;
    const advance = Math.max(1, Math.floor((perSecond * leaseMs) / 1_000 / this.#shares));
    const tokens = Math.min(Math.floor(bucket.level), Math.max(wanted, advance));
    bucket.level -= tokens;
    const waitMs = bucket.level >= 1 ? 0 : Math.ceil(((1 - bucket.level) * 1_000) / perSecond);
    return { tokens, waitMs };
  }
}
