/**
 * The door of the balancing room: an upstream's peers, and which of them gets the next try. Knows
 * addresses, weights and passive health; knows nothing of hosts, paths or Consul.
 */

export type { Attempts } from "./filter.ts";
export { keyReader } from "./hash-key.ts";
export { PeerBook } from "./peer-book.ts";
export type { UpstreamOptions, WhyNone } from "./upstream.ts";
export { Upstream } from "./upstream.ts";
