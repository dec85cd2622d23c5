/**
 * The second line behind the time limit. A few operations of V8 (a search through an array with
 * thousands of millions of holes, say) never look at the clock, and nothing inside a process can end
 * them. A thread watches how long the process has been inside one call; when that is far beyond every
 * limit, it names the script on standard error and kills the process, for the primary to replace it.
 */
import { Worker } from "node:worker_threads";

/** Around each stay in an isolate. */
export interface Stopwatch {
  start(): void;
  stop(): void;
}

export interface StallGuard {
  /** @param name the script, for the message. */
  stopwatch(name: string): Stopwatch;
  dispose(): void;
}

/** Shared with the thread: which script is inside (0: none), and a counter of stays. */
const cells = 2;

/**
 * @param stallMs how long a stay may last; 0 for no guard.
 * @param onFailure told why the thread is gone, if it fails: nothing is guarded from then on.
 */
export function createStallGuard(
  stallMs: number,
  onFailure: (message: string) => void,
): StallGuard {
  if (stallMs === 0) {
    const idle: Stopwatch = { start: () => {}, stop: () => {} };
    return { stopwatch: () => idle, dispose: () => {} };
  }
  return new ThreadStallGuard(stallMs, onFailure);
}

class ThreadStallGuard implements StallGuard {
  readonly #inside = new Int32Array(new SharedArrayBuffer(cells * Int32Array.BYTES_PER_ELEMENT));
  readonly #stallMs: number;
  readonly #onFailure: (message: string) => void;
  #thread: Worker | null = null;
  #lastNumber = 0;

  constructor(stallMs: number, onFailure: (message: string) => void) {
    this.#stallMs = stallMs;
    this.#onFailure = onFailure;
  }

  stopwatch(name: string): Stopwatch {
    this.#thread ??= this.#start();
    this.#lastNumber += 1;
    const number = this.#lastNumber;
    this.#thread.postMessage({ number, name });
    return new CellStopwatch(this.#inside, number);
  }

  dispose(): void {
    void this.#thread?.terminate();
    this.#thread = null;
  }

  #start(): Worker {
    const thread = new Worker(new URL("./stall-guard-thread.ts", import.meta.url), {
      // This process's own flags may be of no use to a thread, or forbid it.
      execArgv: [],
      workerData: { inside: this.#inside, stallMs: this.#stallMs },
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 1, stackSizeMb: 1 },
    });
    thread.on("error", (error: Error) => this.#onFailure(error.message));
    thread.unref();
    return thread;
  }
}

class CellStopwatch implements Stopwatch {
  readonly #inside: Int32Array;
  readonly #number: number;

  constructor(inside: Int32Array, number: number) {
    this.#inside = inside;
    this.#number = number;
  }

  start(): void {
    Atomics.add(this.#inside, 1, 1);
    Atomics.store(this.#inside, 0, this.#number);
  }

  stop(): void {
    Atomics.store(this.#inside, 0, 0);
  }
}
