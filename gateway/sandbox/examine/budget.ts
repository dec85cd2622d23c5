/**
 * The time that one examination may take in all, for loading and every case. It is counted in processor time of
 * the process, which examines one source at a time, so that no source is refused because the machine is busy.
 * The clock on the wall is only a guard.
 */
import { wallFactor } from "../limits.ts";
import { isTimeout } from "../run/faults.ts";

/** What is never stopped may take this many times as long on the wall. */
const guardFactor = 5;
const lookMs = 20;
/** What had the processor for this part of its limit ran out of time through its own fault. */
const ownPart = 0.75;

/** Milliseconds of processor time that this process has had since now. */
function processorClock(): () => number {
  const began = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(began);
    return (user + system) / 1_000;
  };
}

/**
 * Runs something with a timer of isolated-vm's. A timer also counts the other work of a busy machine: what was ended by
 * it and hardly had the processor is run again with a longer one. This process examines one source at a time, so its
 * processor time is the script's.
 * @param run is given what to call when the timer starts, if that is not at once.
 */
export async function timed<T>(
  limitMs: number,
  run: (timeoutMs: number, onStart: () => void) => Promise<T>,
): Promise<T> {
  for (let timeoutMs = limitMs; ; timeoutMs *= 2) {
    let usedMs = processorClock();
    try {
      return await run(timeoutMs, () => {
        usedMs = processorClock();
      });
    } catch (error) {
      if (!(error instanceof Error && isTimeout(error))) throw error;
      const hadItsTime = usedMs() >= ownPart * limitMs;
      if (hadItsTime || 2 * timeoutMs > wallFactor * limitMs) throw error;
    }
  }
}

/** Rejects with `late()` when `work` does not end while this process has the processor for `mostMs`. */
export function within<T>(work: Promise<T>, mostMs: number, late: () => Error): Promise<T> {
  return heldBy(work, mostMs, processorClock(), late);
}

async function heldBy<T>(
  work: Promise<T>,
  mostMs: number,
  usedMs: () => number,
  late: () => Error,
): Promise<T> {
  const stuck = Promise.withResolvers<never>();
  let looks = 0;
  const look = setInterval(() => {
    // Looks are counted, not time: a process that was suspended as a whole is not late.
    looks += 1;
    if (usedMs() > mostMs || looks * lookMs > guardFactor * mostMs) stuck.reject(late());
  }, lookMs);
  try {
    return await Promise.race([work, stuck.promise]);
  } finally {
    clearInterval(look);
  }
}

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
  readonly #usedMs = processorClock();
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
  hold<T>(work: Promise<T>): Promise<T> {
    return heldBy(work, this.#stuckMs, this.#usedMs, () => this.#over(true));
  }

  #over(isStuck: boolean): OverBudget {
    return new OverBudget(this.#budgetMs, this.#at, isStuck);
  }
}
