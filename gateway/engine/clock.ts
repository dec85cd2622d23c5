/** An engine's time: exact for records, coarse for deadlines. */
export class Clock {
  /** Monotonic milliseconds, exact. */
  readonly now: () => number;
  /** Monotonic milliseconds as of the last `tick`, so that setting a deadline reads no clock. */
  current: number;
  /** The `Date` line for answers that have none (RFC 9110 section 6.6.1). */
  dateLine: string;

  constructor(now: () => number) {
    this.now = now;
    this.current = now();
    this.dateLine = dateLine();
  }

  /** Reads the clock and returns the new `current`. */
  tick(): number {
    this.current = this.now();
    this.dateLine = dateLine();
    return this.current;
  }
}

function dateLine(): string {
  return `Date: ${new Date().toUTCString()}\r\n`;
}
