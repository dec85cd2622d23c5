/**
 * How the cost of a call grows with its input: the time for 4n is compared with the time for n, in one run
 * and on one machine. Four is linear, sixteen is quadratic.
 */

/** Between linear (4) and quadratic (16), nearer to neither for the noise of a busy machine. */
export const mostGrowth = 10;
/** A measurement that is shorter than this says more about the clock than about the call. */
const enoughMs = 1;
const maxSize = 1_000_000;

/** How much longer `call` takes for four times the size; the least of several measurements. */
export function growthOf(call: (size: number) => () => unknown, startSize = 1_000): number {
  let size = startSize;
  while (size < maxSize && fastest(call(size), 1) < enoughMs) size *= 2;
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 6 && least > mostGrowth; round += 1) {
    least = Math.min(least, fastest(call(size * 4), 3) / fastest(call(size), 3));
  }
  return least;
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
