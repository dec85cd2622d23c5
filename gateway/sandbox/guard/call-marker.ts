/**
 * What this thread is doing, for the threads that watch it: which isolate it is inside of (negative
 * when the watchdog need not look) and how often it went into one. Written around every call, so it
 * is two stores and nothing else. It also has the questions that the watching threads ask each other.
 */

const numberCell = 0;
const countCell = 1;

/**
 * The watchdog asks how much processor time the thread has had, since code in an isolate cannot read it,
 * and the stall guard's thread answers.
 */
export const questions = {
  /** Who answers: one of the three below. */
  answersCell: 2,
  nobody: 0,
  somebody: 1,
  /** A thread that is about to start answering: on a busy machine a start takes long. */
  soon: 2,
  /** A counter of questions, and the last one that is answered. */
  askedCell: 3,
  answeredCell: 4,
  /** The answer: the processor time in units of 10 microseconds, modulo 2^32. */
  ranCell: 5,
  unitsPerMs: 100,
} as const;

export class CallMarker {
  /** The number of the isolate that the thread is inside of (0: none), a counter of calls, and the questions. */
  readonly cells = new Int32Array(new SharedArrayBuffer(6 * Int32Array.BYTES_PER_ELEMENT));
  #lastNumber = 0;

  /** A number for an isolate, not given before. */
  next(): number {
    this.#lastNumber += 1;
    return this.#lastNumber;
  }

  begin(number: number): void {
    Atomics.add(this.cells, countCell, 1);
    Atomics.store(this.cells, numberCell, number);
  }

  end(): void {
    Atomics.store(this.cells, numberCell, 0);
  }

  get hasAnswers(): boolean {
    return Atomics.load(this.cells, questions.answersCell) === questions.somebody;
  }

  /**
   * The thread that answered is gone or was not there yet; another one is starting and will say whether it can.
   */
  awaitAnswers(): void {
    Atomics.store(this.cells, questions.answersCell, questions.soon);
  }
}
