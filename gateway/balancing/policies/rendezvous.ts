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

/** Prepares the hashes of peers for `strongest`. */
export function mixedKeys(peers: readonly number[]): Int32Array {
  return Int32Array.from(peers, mix);
}

/** Which of the peers, all with the same weight, has the highest score for a key; -1 when there are none. */
export function strongest(keys: Int32Array, key: number): number {
  const mixed = mix(key);
  let best = keys.length === 0 ? -1 : 0;
  let bestHash = -0x80000000;
  for (let at = 0; at < keys.length; at += 1) {
    const product = Math.imul(mixed ^ (keys[at] ?? 0), first);
    const hash = Math.imul(product ^ (product >>> 15), second);
    if (hash > bestHash) {
      best = at;
      bestHash = hash;
    }
  }
  return best;
}

const first = 0x2c1b3c6d;
const second = 0x297a2d39;

/**
 * A signed hash of a key and a peer. Each was mixed once before, so each pair costs only half as much, and keys
 * spread as evenly.
 */
function combined(key: number, peer: number): number {
  const product = Math.imul(key ^ peer, first);
  return Math.imul(product ^ (product >>> 15), second);
}

/** The final mixing step of MurmurHash3, because addresses often differ only in their last digits. */
function mix(seed: number): number {
  let hash = seed;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
