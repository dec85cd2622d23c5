/**
 * Finds slots that do worse than the others in their upstream, by errors in a row and by success rate. It names them;
 * the upstream takes them out.
 */
import type { OutlierOptions } from "../model/index.ts";
import type { Slot } from "./slot.ts";

/** Why a slot is an outlier. */
export interface Outlier {
  readonly slot: Slot;
  readonly code: "consecutive_failures" | "success_rate";
  readonly message: string;
}

export class Outliers {
  readonly options: OutlierOptions;
  /** When the current interval began, in monotonic milliseconds. */
  #sinceMs: number;

  /** @param before from the upstream that this one replaces: its interval goes on. */
  constructor(options: OutlierOptions, nowMs: number, before: Outliers | null) {
    this.options = options;
    this.#sinceMs = before === null ? nowMs : before.#sinceMs;
  }

  /**
   * A try on the slot is over. Returns why the slot is an outlier now, or `null`. It allocates only for an outlier.
   */
  note({ tally }: Slot, isError: boolean): Omit<Outlier, "slot"> | null {
    tally.answers += 1;
    if (!isError) {
      tally.inARow = 0;
      return null;
    }
    tally.errors += 1;
    tally.inARow += 1;
    const { consecutiveFailures: most } = this.options;
    if (most === 0 || tally.inARow < most) return null;
    tally.inARow = 0;
    return { code: "consecutive_failures", message: `${most} failures in a row` };
  }

  /** Whether the interval is over and `compare` has to be called. */
  isDue(nowMs: number): boolean {
    return nowMs - this.#sinceMs >= this.options.intervalMs;
  }

  /**
   * Returns the slots whose success rate in this interval is clearly below the others', and begins another interval.
   */
  compare(slots: readonly Slot[], nowMs: number): readonly Outlier[] {
    this.#sinceMs = nowMs;
    const { minRequests, successRateDrop } = this.options;
    const counted = slots.filter(({ tally }) => tally.answers >= minRequests);
    const answers = sum(counted, ({ tally }) => tally.answers);
    const errors = sum(counted, ({ tally }) => tally.errors);
    const outliers: Outlier[] = [];
    // A slot alone has nothing to be compared with.
    if (counted.length > 1 && successRateDrop < 1) {
      for (const slot of counted) {
        const { tally } = slot;
        const own = 1 - tally.errors / tally.answers;
        const ofOthers = 1 - (errors - tally.errors) / (answers - tally.answers);
        if (ofOthers - own <= successRateDrop) continue;
        const message = `${percent(own)} of its requests went well, ${percent(ofOthers)} of the others'`;
        outliers.push({ slot, code: "success_rate", message });
      }
    }
    for (const { tally } of slots) {
      tally.answers = 0;
      tally.errors = 0;
    }
    return outliers;
  }

  /** Whether one more of `all` slots may be taken out when `out` of them already are. */
  allows(out: number, all: number): boolean {
    if (all - out <= 1) return false;
    return out + 1 <= Math.max(1, Math.floor(all * this.options.maxEjected));
  }
}

function sum(slots: readonly Slot[], of: (slot: Slot) => number): number {
  return slots.reduce((total, slot) => total + of(slot), 0);
}

function percent(part: number): string {
  return `${Math.round(part * 100)} %`;
}
