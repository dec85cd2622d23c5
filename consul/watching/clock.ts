/** Time as watches see it, so that tests decide how it passes. */

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls `callback` once after `ms` milliseconds; the returned function takes it back. */
  after(ms: number, callback: () => void): () => void;
}

/** A time of the clock as an operator reads it: ISO 8601, UTC. */
export function timeText(ms: number): string {
  return new Date(ms).toISOString();
}

/** The machine's own. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};
