/**
 * Rendezvous hashing: every peer has a score for a key, and the highest wins. All workers of all gateways get the
 * same result. When a peer comes or goes, only the keys move that it wins or has won.
 */

/** A 32-bit hash: FNV-1a over UTF-16 units. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  return hash;
}

/**
 * A peer's score for a key, both given as hashes: peers win keys in proportion to their weights ("Weighted
 * Distributed Hash Tables", Schindelhauer and Schomaker, the logarithmic method).
 */
export function scoreOf(key: number, peer: number, weight: number): number {
  // Maps the order of signed numbers to numbers from 0 up.
  const hash = (combined(mix(key), mix(peer)) ^ 0x80000000) >>> 0;
  return weight / -Math.log((hash + 0.5) / 2 ** 32);
}

/**
 * A signed hash of a key and a peer, both mixed before. That makes each pair cost only a part, and keys spread as
 * evenly.
 */
export function combined(key: number, peer: number): number {
  const sum = (key + peer) | 0;
  return Math.imul(sum ^ (sum >>> 15), 0x297a2d39);
}

/** The final mixing step of MurmurHash3, because addresses often differ only in their last digits. */
export function mix(seed: number): number {
  let hash = seed;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
