/** Runs tasks in the order in which they were given, a few at a time. Keeps none of their results. */

export class Lanes {
  readonly #width: number;
  readonly #waiting: (() => Promise<void>)[] = [];
  #running = 0;
  #idle: PromiseWithResolvers<void> | null = null;
  #isClosed = false;

  /** @param width how much may run at once. */
  constructor(width: number) {
    this.#width = width;
  }

  /** `work` must not reject. */
  run(work: () => Promise<void>): void {
    if (this.#isClosed) return;
    this.#waiting.push(work);
    this.#next();
  }

  /** Resolves when nothing runs and nothing waits. */
  async idle(): Promise<void> {
    if (this.#running === 0 && this.#waiting.length === 0) return;
    this.#idle ??= Promise.withResolvers<void>();
    await this.#idle.promise;
  }

  /** Drops what waits and takes no more; resolves when nothing runs. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#waiting.length = 0;
    await this.idle();
  }

  #next(): void {
    while (this.#running < this.#width) {
      const work = this.#waiting.shift();
      if (work === undefined) break;
      this.#running += 1;
      void work().finally(() => {
        this.#running -= 1;
        this.#next();
      });
    }
    if (this.#running > 0 || this.#waiting.length > 0) return;
    this.#idle?.resolve();
    this.#idle = null;
  }
}
