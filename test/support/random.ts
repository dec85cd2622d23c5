/** Repeatable randomness for tests. */

/** A generator of numbers in [0, 1) that gives the same sequence for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Up to `count` offsets inside `length`, ascending and different. */
export function cuts(random: () => number, length: number, count: number): number[] {
  const offsets = new Set<number>();
  for (let n = 0; n < count; n += 1) offsets.add(1 + Math.floor(random() * (length - 1)));
  return [...offsets].sort((a, b) => a - b);
}
