/**
 * Token buckets by key (the rate limits of plugins). The primary has those of the whole gateway; a worker that gets no
 * word from it counts with some of its own.
 */
import { RecentMap, type TokenAsk, type TokenGrant } from "../model/index.ts";

/** A worker may have this much of a rate in advance, so that it need not ask for each request. */
export const leaseMs = 50;

interface Bucket {
  level: number;
  /** When it had this level. */
  atMs: number;
}

/** Whoever can choose keys (of a header, say) could fill the memory: those used last the longest ago go. */
const maxBuckets = 200_000;

export class TokenBuckets {
  readonly #buckets = new RecentMap<Bucket>(maxBuckets);
  readonly #shares: number;

  /** @param shares among how many what a rate gives in advance is shared. */
  constructor(shares: number) {
    this.#shares = shares;
  }

  /** `nowMs`: a clock that does not go back. */
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
