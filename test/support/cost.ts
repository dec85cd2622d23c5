/**
 * How the cost of a call grows with its input: the time for 4n is compared with the time for n, in one run
 * and on one machine. Four is linear, sixteen is quadratic.
 */

/** Between linear (4) and quadratic (16), nearer to neither for the noise of a busy machine. */
export const mostGrowth = 10;
/**
 * Long enough for the clock, and short enough that some measurements fit between two turns of whatever else a
 * busy machine runs.
 */
const enoughMs = 0.2;

/** How much longer `call` takes for four times the size, by the fastest of many calls of each. */
export function growthOf(call: (size: number) => () => unknown, size = 10_000): number {
  const small = call(size);
  const large = call(size * 4);
  let times = 1;
  while (fastest(repeated(small, times), 3) < enoughMs) times *= 2;
  let [smallMs, largeMs] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  // A call that is long by itself is measured less often: most of those are what is looked for.
  const rounds = times === 1 ? 4 : 12;
  for (let round = 0; round < rounds && !(largeMs / smallMs <= mostGrowth); round += 1) {
    smallMs = Math.min(smallMs, fastest(repeated(small, times), 4));
    largeMs = Math.min(largeMs, fastest(repeated(large, times), 4));
  }
  return largeMs / smallMs;
}

function repeated(call: () => unknown, times: number): () => void {
  return () => {
    for (let n = 0; n < times; n += 1) call();
  };
}

/** Milliseconds of the fastest of `rounds` calls: what else the machine did makes the others longer. */
export function fastest(call: () => unknown, rounds: number): number {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round += 1) {
    const startMs = performance.now();
    call();
    least = Math.min(least, performance.now() - startMs);
  }
  return least;
}
