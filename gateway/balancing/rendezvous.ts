/**
 * Rendezvous hashing: every peer has a score for a key, the highest wins. The same on every worker of
 * every gateway; when a peer comes or goes, only the keys move that it wins or had won.
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
 * The score of a peer for a key, both as hashes: peers win keys in proportion to their weights
 * ("Weighted Distributed Hash Tables", Schindelhauer and Schomaker, the logarithmic method).
 */
export function scoreOf(key: number, peer: number, weight: number): number {
  // The final mixing of MurmurHash3: addresses differ in their last digits only.
  let hash = key ^ Math.imul(peer, 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  hash ^= hash >>> 16;
  return weight / -Math.log(((hash >>> 0) + 0.5) / 2 ** 32);
}
