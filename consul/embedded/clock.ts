/** Time as the embedded agent sees it: now, and timers that can be taken back. Tests pass their own. */

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls `run` once after `delayMs`, however long that is. */
  after(delayMs: number, run: () => void): Timer;
}

/** What `setTimeout` can hold; a longer delay is slept in parts. */
const longestMs = 2 ** 31 - 1;

/** The machine's clock. A timer of it does not keep the process alive: the listening socket does. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(delayMs, run) {
    let handle: NodeJS.Timeout;
    const arm = (leftMs: number) => {
      const partMs = Math.min(leftMs, longestMs);
      handle = setTimeout(() => (partMs < leftMs ? arm(leftMs - partMs) : run()), partMs);
      handle.unref();
    };
    arm(Math.max(0, delayMs));
    return { cancel: () => clearTimeout(handle) };
  },
};
