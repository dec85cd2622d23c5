/**
 * Takes away what is kept of scripts and modules that were removed long ago: what was agreed on, the
 * history, and the sources of its versions. What has a source in KV is never touched.
 */
import type { Log } from "../../observability/logger.ts";
import type { Subject } from "./keys.ts";
import type { LifeStore } from "./store.ts";

export interface RetentionOptions {
  readonly store: LifeStore;
  readonly clock: {
    now(): number;
    after(delayMs: number, task: () => void): () => void;
  };
  readonly log: Log;
}

/** How long what was removed is remembered, for a rollback and for what was taken back. */
export const retentionMs = 30 * 86_400_000;
/** How often it is looked for; the first time a while after the start. */
const sweepMs = 3_600_000;
const firstSweepMs = 600_000;
/** Of one sweep, so that it is a trickle beside what else Consul does. */
const maxRemovals = 100;

export class Retention {
  readonly #options: RetentionOptions;
  #cancel: (() => void) | null = null;
  #sweeping: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(options: RetentionOptions) {
    this.#options = options;
  }

  start(): void {
    this.#plan(firstSweepMs);
  }

  /** Resolves when no sweep is under way. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancel?.();
    await this.#sweeping;
  }

  /** Looks once. Resolves to what was taken away. Rejects with a `ConsulError`. */
  async sweep(): Promise<readonly Subject[]> {
    const { store, clock } = this.#options;
    const removed: Subject[] = [];
    for (const subject of await store.leftovers()) {
      if (this.#isStopped || removed.length === maxRemovals) break;
      if (await store.forget(subject, clock.now() - retentionMs)) removed.push(subject);
    }
    return removed;
  }

  #plan(delayMs: number): void {
    this.#cancel = this.#options.clock.after(delayMs, () => {
      this.#sweeping = this.#run();
    });
  }

  async #run(): Promise<void> {
    const { log } = this.#options;
    try {
      const subjects = await this.sweep();
      if (subjects.length > 0) {
        log.info({ subjects }, "the history of what was removed long ago is taken away");
      }
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log.warn({ reason }, `what was removed long ago stays in Consul for now: ${reason}`);
    }
    if (!this.#isStopped) this.#plan(sweepMs);
  }
}
