/**
 * How the cost of a call grows with its input: the cost for 4n is compared with that for n, in one run and on one
 * machine. Four is linear, sixteen is quadratic.
 */

/** Between linear (4) and quadratic (16), nearer to neither for the noise of a busy machine. */
export const mostGrowth = 10;
/**
 * Long enough for the clock, and short enough that some measurements fit between two turns of whatever else a
 * busy machine runs.
 */
const enoughMs = 0.1;
/** Of so many pairs of measurements one of each kind is undisturbed. */
const fewestRounds = 6;
const mostRounds = 24;
/** After this, who measures calls that take long goes on with their processor time. */
const longMs = 400;

/** How much longer `call` takes for four times the size. */
export function growthOf(call: (size: number) => () => unknown, size = 10_000): number {
  const small = call(size);
  const large = call(size * 4);
  let times = 1;
  while (fastest(repeated(small, times), 3) < enoughMs) times *= 2;
  const growth = growthByClock(repeated(small, times), repeated(large, times));
  // The clock counts what others ran in the middle of a call, which a long one always has.
  return growth > mostGrowth ? growthByProcessor(small, large) : growth;
}

/** By the fastest of many calls of each, in turns. */
function growthByClock(small: () => void, large: () => void): number {
  const startMs = performance.now();
  let [smallMs, largeMs] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (let round = 1; round <= mostRounds; round += 1) {
    smallMs = Math.min(smallMs, fastest(small, 1));
    largeMs = Math.min(largeMs, fastest(large, 1));
    const isLinear = largeMs / smallMs <= mostGrowth;
    if (isLinear && round >= fewestRounds) break;
    if (!isLinear && performance.now() - startMs > longMs) break;
  }
  return largeMs / smallMs;
}

/** The system counts processor time in steps of some milliseconds: each turn takes many of them. */
const turnMs = 40;
const turns = 3;

function growthByProcessor(small: () => unknown, large: () => unknown): number {
  const [smallTimes, largeTimes] = [timesFor(small), timesFor(large)];
  let [smallMs, largeMs] = [0, 0];
  for (let turn = 0; turn < turns; turn += 1) {
    smallMs += processorMs(repeated(small, smallTimes));
    largeMs += processorMs(repeated(large, largeTimes));
  }
  return largeMs / largeTimes / (smallMs / smallTimes);
}

/** How often `call` takes a turn at least. */
function timesFor(call: () => unknown): number {
  let times = 1;
  while (processorMs(repeated(call, times)) < turnMs) times *= 2;
  return times;
}

function processorMs(call: () => void): number {
  const before = process.threadCpuUsage();
  call();
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1_000;
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
