/**
 * The second line behind the time limit. A few operations of V8 (a search through an array with
 * thousands of millions of holes, say) never look at the clock, and nothing inside a process can end
 * them. A thread watches how long the process has been inside one call; when that is far beyond every
 * limit, it names the script on standard error and kills the process, for the primary to replace it.
 */
import { Worker } from "node:worker_threads";
import type { LastWords, OutOfService } from "../state/index.ts";
import type { Stays } from "./stays.ts";

/** What is said of a script that stalls. */
export type GuardedScript = Omit<LastWords, "out"> & Omit<OutOfService, "reason">;

export interface StallGuard {
  /** Starts its thread, which `name` does otherwise. */
  start(): void;
  /** Says whose stays are counted under `number`; again when more is known. */
  name(number: number, script: GuardedScript): void;
  dispose(): void;
}

export interface StallGuardOptions {
  /** How long a stay may last, in milliseconds; 0 for no guard. */
  readonly stallMs: number;
  /** A file descriptor that takes lines of JSON, `InsideWords` and `LastWords`; `null`: nobody listens. */
  readonly lastWordsDescriptor: number | null;
}

/**
 * @param stays of the thread to watch.
 * @param onFailure told why the thread is gone, if it fails: nothing is guarded from then on.
 */
export function createStallGuard(
  stays: Stays,
  { stallMs, lastWordsDescriptor }: StallGuardOptions,
  onFailure: (message: string) => void,
): StallGuard {
  if (stallMs === 0) return { start: () => {}, name: () => {}, dispose: () => {} };
  return new ThreadStallGuard(stays, { stallMs, lastWordsDescriptor }, onFailure);
}

class ThreadStallGuard implements StallGuard {
  readonly #stays: Stays;
  readonly #options: StallGuardOptions;
  readonly #onFailure: (message: string) => void;
  #thread: Worker | null = null;

  constructor(stays: Stays, options: StallGuardOptions, onFailure: (message: string) => void) {
    this.#stays = stays;
    this.#options = options;
    this.#onFailure = onFailure;
  }

  start(): void {
    this.#thread ??= this.#startThread();
  }

  name(number: number, script: GuardedScript): void {
    this.#thread ??= this.#startThread();
    this.#thread.postMessage({ number, script });
  }

  dispose(): void {
    void this.#thread?.terminate();
    this.#thread = null;
  }

  #startThread(): Worker {
    const thread = new Worker(new URL("./stall-guard-thread.ts", import.meta.url), {
      // This process's own flags may be of no use to a thread, or forbid it.
      execArgv: [],
      workerData: { inside: this.#stays.cells, ...this.#options },
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 1, stackSizeMb: 1 },
    });
    thread.on("error", (error: Error) => this.#onFailure(error.message));
    thread.unref();
    return thread;
  }
}
