/** Collects changes that arrive within a few milliseconds, so that they make one version. */
import type { Served } from "../model/index.ts";
import type { Clock } from "./clock.ts";

export interface BatcherOptions {
  readonly clock: Pick<Clock, "after">;
  /** From the first change of a batch to its end; later ones do not prolong it. Default 5. */
  readonly delayMs?: number;
  /** Called with all changes of a batch, in the order of their arrival; never with an empty list. */
  readonly flush: (changes: readonly Served[]) => void;
}

export class Batcher {
  readonly #clock: Pick<Clock, "after">;
  readonly #delayMs: number;
  readonly #flush: (changes: readonly Served[]) => void;
  #pending: Served[] = [];
  #cancel: (() => void) | null = null;

  constructor({ clock, delayMs = 5, flush }: BatcherOptions) {
    this.#clock = clock;
    this.#delayMs = delayMs;
    this.#flush = flush;
  }

  add(changes: readonly Served[]): void {
    if (changes.length === 0) return;
    for (const change of changes) this.#pending.push(change);
    this.#cancel ??= this.#clock.after(this.#delayMs, () => this.flushNow());
  }

  /** Ends the batch at once. */
  flushNow(): void {
    this.#cancel?.();
    this.#cancel = null;
    const changes = this.#pending;
    this.#pending = [];
    if (changes.length > 0) this.#flush(changes);
  }
}
