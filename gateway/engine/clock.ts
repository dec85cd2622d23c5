/** An engine's time: read exactly where a record needs it, coarse wherever a deadline is set. */
export class Clock {
  /** Monotonic milliseconds, exact. */
  readonly now: () => number;
  /** The same as the last `tick` found it, so that setting a deadline costs nothing. */
  current: number;
  /** The `Date` line of answers that have none (RFC 9110 section 6.6.1). */
  dateLine: string;

  constructor(now: () => number) {
    this.now = now;
    this.current = now();
    this.dateLine = dateLine();
  }

  /** Returns `current`. */
  tick(): number {
    this.current = this.now();
    this.dateLine = dateLine();
    return this.current;
  }
}

function dateLine(): string {
  return `Date: ${new Date().toUTCString()}\r\n`;
}
