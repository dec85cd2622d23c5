/** Time as the primary sees it, passed in so that tests decide it. */
export interface Clock {
  /** Milliseconds since the epoch: for what an operator reads. */
  now(): number;
  /** Monotonic milliseconds: for lags and deadlines. */
  ticks(): number;
  /** Runs `task` once after `delayMs`; calling what it returns cancels it. */
  after(delayMs: number, task: () => void): () => void;
}

export const systemClock: Clock = {
  now: Date.now,
  ticks: () => performance.now(),
  after(delayMs, task) {
    const timer = setTimeout(task, delayMs);
    return () => clearTimeout(timer);
  },
};
