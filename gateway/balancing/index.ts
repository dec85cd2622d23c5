/**
 * The door of the balancing room: an upstream's peers, and which of them gets the next try. It knows addresses,
 * weights and health, but no hosts, paths or Consul.
 */

export type { Attempts } from "./filter.ts";
export { Gate } from "./gate.ts";
export { cookieOf, type KeyOf, type KeySource, keyReader } from "./hash-key.ts";
export { PeerBook } from "./peer-book.ts";
export { PeerTokens } from "./peer-tokens.ts";
export { hashOf, scoreOf } from "./policies/rendezvous.ts";
export { defaultRetryBudget, RetryBudget } from "./retry-budget.ts";
export type { UpstreamOptions, WhyNone } from "./upstream.ts";
export { Upstream } from "./upstream.ts";
