/**
 * The second line behind the time limit. A few operations of V8 (a search through an array with
 * thousands of millions of holes, say) never look at the clock, and nothing inside a process can end
 * them. A thread watches how long the process has been inside one call; when that is far beyond every
 * limit, it names the script on standard error and kills the process, for the primary to replace it.
 */
import { Worker } from "node:worker_threads";
import type { LastWords, OutOfService } from "../../model/index.ts";
import type { CallMarker } from "./call-marker.ts";

/** What is said of a script that stalls. */
export type GuardedScript = Omit<LastWords, "out"> & Omit<OutOfService, "reason">;

/** To the thread: the words about an isolate, as JSON, or that it is gone. */
export interface GuardNews {
  readonly number: number;
  readonly words: SharedArrayBuffer | null;
}

export interface StallGuard {
  /** Starts its thread, which `name` does otherwise. */
  start(): void;
  /** Says whose calls are marked with `number`; again when more is known. */
  name(number: number, script: GuardedScript): void;
  /** There will be no more calls with `number`. */
  forget(number: number): void;
  /** How many numbers it knows. */
  readonly known: number;
  dispose(): void;
}

export interface StallGuardOptions {
  /** How long a stay may last, in milliseconds; 0 for no guard. */
  readonly stallMs: number;
  /** A file descriptor that takes lines of JSON, `InsideWords` and `LastWords`; `null`: nobody listens. */
  readonly lastWordsDescriptor: number | null;
}

/** A thread that ended is started anew after this time. */
const restartMs = 1_000;

/**
 * @param marker of the thread to watch.
 * @param onFailure told why the thread is gone, each time; it is started anew.
 */
export function createStallGuard(
  marker: CallMarker,
  { stallMs, lastWordsDescriptor }: StallGuardOptions,
  onFailure: (message: string) => void,
): StallGuard {
  if (stallMs === 0) {
    return { start: () => {}, name: () => {}, forget: () => {}, known: 0, dispose: () => {} };
  }
  return new ThreadStallGuard(marker, { stallMs, lastWordsDescriptor }, onFailure);
}

class ThreadStallGuard implements StallGuard {
  readonly #marker: CallMarker;
  readonly #options: StallGuardOptions;
  readonly #onFailure: (message: string) => void;
  /** What the thread knows, for the one that may come after it. */
  readonly #words = new Map<number, SharedArrayBuffer>();
  #thread: Worker | null = null;
  #restart: NodeJS.Timeout | null = null;

  constructor(
    marker: CallMarker,
    options: StallGuardOptions,
    onFailure: (message: string) => void,
  ) {
    this.#marker = marker;
    this.#options = options;
    this.#onFailure = onFailure;
  }

  start(): void {
    if (this.#thread === null && this.#restart === null) this.#startThread();
  }

  name(number: number, script: GuardedScript): void {
    const words = shared(JSON.stringify(script));
    this.#words.set(number, words);
    if (this.#thread === null) this.start();
    else this.#tell({ number, words });
  }

  forget(number: number): void {
    if (this.#words.delete(number)) this.#tell({ number, words: null });
  }

  get known(): number {
    return this.#words.size;
  }

  dispose(): void {
    if (this.#restart !== null) clearTimeout(this.#restart);
    this.#restart = null;
    const thread = this.#thread;
    this.#thread = null;
    void thread?.terminate();
  }

  #tell(news: GuardNews): void {
    this.#thread?.postMessage(news);
  }

  #startThread(): void {
    this.#marker.awaitAnswers();
    const thread = new Worker(new URL("./stall-guard-thread.ts", import.meta.url), {
      // This process's own flags may be of no use to a thread, or forbid it.
      execArgv: [],
      workerData: { inside: this.#marker.cells, ...this.#options },
      resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 1, stackSizeMb: 1 },
    });
    this.#thread = thread;
    let reason = "its thread ended";
    thread.on("error", (error: Error) => {
      reason = error.message;
    });
    thread.once("exit", () => {
      // It was disposed of.
      if (this.#thread !== thread) return;
      this.#thread = null;
      this.#marker.awaitAnswers();
      this.#onFailure(reason);
      this.#restart = setTimeout(() => {
        this.#restart = null;
        this.#startThread();
      }, restartMs).unref();
    });
    thread.unref();
    for (const [number, words] of this.#words) this.#tell({ number, words });
  }
}

/** Outside of every heap: the thread's is small, and a script may name many paths. */
function shared(text: string): SharedArrayBuffer {
  const bytes = Buffer.from(text);
  const buffer = new SharedArrayBuffer(bytes.length);
  new Uint8Array(buffer).set(bytes);
  return buffer;
}
