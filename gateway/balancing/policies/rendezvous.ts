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
  return weight / -Math.log((mix(key ^ spread(peer)) + 0.5) / 2 ** 32);
}

/** The hashes of peers, prepared for `strongest`. */
export function mixedKeys(peers: readonly number[]): Int32Array {
  return Int32Array.from(peers, spread);
}

/** Which of the peers has the highest score for a key when all have one weight; -1 when there are none. */
export function strongest(keys: Int32Array, key: number): number {
  let best = -1;
  let bestHash = -1;
  for (let at = 0; at < keys.length; at += 1) {
    const hash = mix(key ^ (keys[at] ?? 0));
    if (hash <= bestHash) continue;
    best = at;
    bestHash = hash;
  }
  return best;
}

function spread(peer: number): number {
  return Math.imul(peer, 0x9e3779b1);
}

/** The final mixing of MurmurHash3, 0 to 2^32 - 1: addresses differ in their last digits only. */
function mix(seed: number): number {
  let hash = seed;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
