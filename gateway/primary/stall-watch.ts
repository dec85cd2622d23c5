/** Kills workers that have said nothing for too long, because a worker that stands still serves nobody. */
import type { Log } from "../observability/logger.ts";
import type { Clock } from "./clock.ts";
import type { WorkerProcess } from "./worker-process.ts";

const checkIntervalMs = 1000;
/** When more time than this passes between two checks, the primary itself stood still. */
const ownStallMs = 2500;
/** A process that has just been forked loads its modules before it can speak. */
export const startTimeoutMs = 30_000;

export interface StallWatchOptions {
  readonly processes: () => Iterable<WorkerProcess>;
  /** False as long as there is no state to serve, and so nothing to say. */
  readonly isOpen: () => boolean;
  /** A worker that listens and says nothing for so long is killed. */
  readonly stallMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

export class StallWatch {
  readonly #options: StallWatchOptions;
  #cancel: (() => void) | null = null;
  #lastCheckMs = 0;

  constructor(options: StallWatchOptions) {
    this.#options = options;
  }

  start(): void {
    this.#lastCheckMs = this.#options.clock.ticks();
    this.#schedule();
  }

  stop(): void {
    this.#cancel?.();
  }

  #schedule(): void {
    this.#cancel = this.#options.clock.after(checkIntervalMs, () => {
      this.#check();
      this.#schedule();
    });
  }

  #check(): void {
    const { processes, isOpen, stallMs, clock, log } = this.#options;
    const sinceLastMs = clock.ticks() - this.#lastCheckMs;
    this.#lastCheckMs = clock.ticks();
    for (const process of processes()) {
      // While the primary stood still, reports piled up unread. Without a state there is nothing to say.
      if (sinceLastMs > ownStallMs || !isOpen()) process.excuseSilence();
      const allowedMs = process.state === "starting" ? startTimeoutMs : stallMs;
      if (process.state === "draining" || process.silentMs <= allowedMs) continue;
      const silentMs = Math.round(process.silentMs);
      log.error(
        { worker: process.id, workerPid: process.pid, silentMs },
        `worker ${process.id} (pid ${process.pid}) said nothing for ${silentMs} ms and is killed`,
      );
      process.killFor(`a worker said nothing for ${silentMs} ms while it was in it`);
    }
  }
}
