/**
 * Who gets a version that is on trial: a hash of a text puts each client into one of 10,000 places, the
 * same on every worker of every gateway. The same client stays in while the share widens.
 */

const places = 10_000;

/** Where the hash begins: each version tries other clients first. `version`: a SHA-256, hexadecimal. */
export function seedOf(version: string): number {
  return Number.parseInt(version.slice(0, 8), 16) >>> 0;
}

/** @param share of 10,000. */
export function isInShare(who: string, seed: number, share: number): boolean {
  return share >= places || placeOf(who, seed) < share;
}

/** FNV-1a over UTF-16 units, then the final mixing of MurmurHash3: addresses differ in their last digits only. */
function placeOf(who: string, seed: number): number {
  let hash = (0x811c9dc5 ^ seed) | 0;
  for (let at = 0; at < who.length; at += 1) {
    hash = Math.imul(hash ^ who.charCodeAt(at), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) % places;
}
