/**
 * The time that one examination may take in all, for loading and every case. It is counted in processor time of
 * the process, which examines one source at a time, so that no source is refused because the machine is busy.
 * The clock on the wall is only a guard.
 */

/** Time on the wall may be this many times as long. */
const wallFactor = 5;
const lookMs = 20;

export class OverBudget extends Error {
  override readonly name = "OverBudget";
  /** The running step could not be stopped, and may still run. */
  readonly isStuck: boolean;

  constructor(budgetMs: number, at: string, isStuck: boolean) {
    super(`its examination takes more than ${budgetMs} ms of processor time${at}`);
    this.isStuck = isStuck;
  }
}

export class Budget {
  readonly #budgetMs: number;
  readonly #stuckMs: number;
  readonly #began = process.cpuUsage();
  readonly #beganMs = performance.now();
  #at = "";

  /** @param longestStepMs the longest time that a step takes which ends by itself. */
  constructor(budgetMs: number, longestStepMs: number) {
    this.#budgetMs = budgetMs;
    this.#stuckMs = budgetMs + 2 * longestStepMs;
  }

  /** The next step begins. @throws OverBudget when there is nothing left for it. */
  step(at: string): void {
    this.#at = at;
    if (this.#usedMs() > this.#budgetMs) throw this.#over(false);
  }

  /** Rejects with OverBudget when a step of `work` does not end. */
  async hold<T>(work: Promise<T>): Promise<T> {
    const stuck = Promise.withResolvers<never>();
    const look = setInterval(() => {
      const isLate = performance.now() - this.#beganMs > wallFactor * this.#stuckMs;
      if (isLate || this.#usedMs() > this.#stuckMs) stuck.reject(this.#over(true));
    }, lookMs);
    try {
      return await Promise.race([work, stuck.promise]);
    } finally {
      clearInterval(look);
    }
  }

  #usedMs(): number {
    const { user, system } = process.cpuUsage(this.#began);
    return (user + system) / 1_000;
  }

  #over(isStuck: boolean): OverBudget {
    return new OverBudget(this.#budgetMs, this.#at, isStuck);
  }
}
