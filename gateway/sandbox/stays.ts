/**
 * What this thread is doing, for the threads that watch it: which isolate it is inside of (negative
 * when the watchdog need not look) and how often it went into one. Written around every call, so it
 * is two stores and nothing else.
 */

const numberCell = 0;
const countCell = 1;

export class Stays {
  /** The number of the isolate that the thread is inside of (0: none), and a counter of stays. */
  readonly cells = new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT));
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
}
