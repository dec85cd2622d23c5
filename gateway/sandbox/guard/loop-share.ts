/**
 * Gives scripts with heavy calls half of a worker's time when other requests want it too. Beyond that half,
 * those that took most lately wait first. Scripts with quick calls are not counted here.
 */

const share = 1 / 2;
/** After this time half of what a script took is forgotten. */
const halfLifeMs = 1_000;

/** Of a fair part. */
const littlePart = 0.1;

/** What one script took lately; `LoopShare` keeps it. */
export class Use {
  ms = 0;
  atMs = 0;
  /** The period in which it was last counted. */
  period = -1;
}

export class LoopShare {
  readonly #burstMs: number;
  /** The time that heavy calls may take now; negative when they took too much. */
  #balanceMs: number;
  #atMs = 0;
  readonly #all = new Use();
  /** When a script last ran that had taken next to nothing while all together had taken far too much. */
  #littleMs = Number.NEGATIVE_INFINITY;
  #period = 0;
  /** How many scripts were heavy in this period, and in the one before. */
  #users = 0;
  #usersBefore = 0;
  #hasOthers = false;
  #hadOthers = false;

  /** @param burstMs what they may take at a stretch. */
  constructor(burstMs: number) {
    this.#burstMs = burstMs;
    this.#balanceMs = burstMs;
  }

  /** A request came that no heavy script has a part in. */
  sawOther(): void {
    this.#hasOthers = true;
  }

  /** Whether nobody else asked for anything, in this period and the one before. */
  get isAlone(): boolean {
    return !this.#hasOthers && !this.#hadOthers;
  }

  /** Whether all may run; when not, `mayRun` says who. */
  get isCalm(): boolean {
    return this.#balanceMs >= 0;
  }

  take(use: Use, nowMs: number, tookMs: number): void {
    this.#advance(nowMs);
    this.#balanceMs = Math.max(-2 * this.#burstMs, this.#balanceMs - tookMs);
    fade(use, nowMs);
    fade(this.#all, nowMs);
    use.ms += tookMs;
    this.#all.ms += tookMs;
    if (use.period === this.#period) return;
    use.period = this.#period;
    this.#users += 1;
  }

  /** Whether a call may begin now; if so, it counts as begun. */
  mayRun(use: Use, nowMs: number): boolean {
    this.#advance(nowMs);
    if (this.#balanceMs >= 0) return true;
    const users = Math.max(1, this.#users, this.#usersBefore);
    if (users === 1 && this.isAlone) return true;
    fade(use, nowMs);
    fade(this.#all, nowMs);
    const fairMs = this.#all.ms / users;
    if (this.#balanceMs >= -this.#burstMs) return use.ms < fairMs;
    // Far beyond the half, scripts that have taken next to nothing still run, one after the other, because they
    // did not cause it.
    if (use.ms >= littlePart * fairMs || nowMs - this.#littleMs < this.#burstMs) return false;
    this.#littleMs = nowMs;
    return true;
  }

  #advance(nowMs: number): void {
    this.#balanceMs += (nowMs - this.#atMs) * share;
    this.#balanceMs = Math.min(this.#burstMs, this.#balanceMs);
    this.#atMs = nowMs;
    const period = Math.floor(nowMs / halfLifeMs);
    if (period === this.#period) return;
    this.#period = period;
    this.#usersBefore = this.#users;
    this.#users = 0;
    this.#hadOthers = this.#hasOthers;
    this.#hasOthers = false;
  }
}

function fade(use: Use, nowMs: number): void {
  use.ms *= 0.5 ** ((nowMs - use.atMs) / halfLifeMs);
  use.atMs = nowMs;
}
