/** The door of the room that counts for rate limits: one half for the primary, one for workers. */
export { RateLimits } from "./rate-limits.ts";
export { TokenBuckets } from "./token-buckets.ts";
