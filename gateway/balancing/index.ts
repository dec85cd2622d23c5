/**
 * The door of the balancing room: an upstream's peers, and which of them gets the next try. Knows
 * addresses, weights and passive health; knows nothing of hosts, paths or Consul.
 */

export { keyReader } from "./hash-key.ts";
export { PeerBook } from "./peer-book.ts";
export type { Attempts } from "./slot.ts";
export type { UpstreamOptions } from "./upstream.ts";
export { Upstream } from "./upstream.ts";
