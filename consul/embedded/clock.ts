/** The clock of the embedded agent: the time, and timers that can be cancelled. Tests pass their own. */

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls `run` once after `delayMs`, however long that is. */
  after(delayMs: number, run: () => void): Timer;
}

/** The longest delay of `setTimeout`. A longer one is split into several. */
const longestMs = 2 ** 31 - 1;

/** The machine's clock. Its timers do not keep the process alive; the listening socket does. */
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
