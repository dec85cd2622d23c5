/**
 * How much of a call's time this thread really ran. The clock also goes on while a busy machine runs something
 * else; this tells the two apart afterwards.
 */

/** Reading it takes a third of a microsecond, so a call that begins sooner shares the mark before. */
const marksApartMs = 0.25;

export class ProcessorTime {
  readonly #read: () => number;
  #markedAtMs = Number.NEGATIVE_INFINITY;
  #markMs = 0;

  /** @param read milliseconds of processor time that the thread has had. */
  constructor(read: () => number) {
    this.#read = read;
  }

  /** A call begins. */
  mark(nowMs: number): void {
    if (nowMs - this.#markedAtMs < marksApartMs) return;
    this.#markedAtMs = nowMs;
    this.#markMs = this.#read();
  }

  /** Milliseconds that the thread ran since the call began, at most a quarter of one too many. */
  sinceMark(): number {
    return this.#read() - this.#markMs;
  }
}

/** Of the thread that calls it, in milliseconds. */
export function threadProcessorMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}
