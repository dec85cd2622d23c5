/**
 * The time of calls that failed late is a debt. One part in two hundred of the worker's time pays off the debts
 * of all scripts, in equal parts, so the script that owes most has paid last. Knows nothing of calls.
 */

/** Of a worker's time. */
const share = 1 / 200;

/** All debts of one kind. Times are milliseconds on the caller's clock, which does not go back. */
export class Debts {
  readonly #debtors = new Set<Debt>();
  /** What everybody who owes could pay so far; a debt is over when this has grown to its `dueMs`. */
  #paidMs = 0;
  #atMs = 0;
  /** No debt is over before. */
  #leastDueMs = Number.POSITIVE_INFINITY;
  #sumMs = 0;

  /** Whether nobody owes anything; it may be late to notice. */
  get areNone(): boolean {
    return this.#debtors.size === 0;
  }

  owe(debt: Debt, nowMs: number, tookMs: number): void {
    this.#payUntil(nowMs);
    if (this.#debtors.has(debt)) this.#sumMs -= debt.dueMs;
    debt.dueMs = Math.max(debt.dueMs, this.#paidMs) + tookMs;
    this.#sumMs += debt.dueMs;
    this.#leastDueMs = Math.min(this.#leastDueMs, debt.dueMs);
    this.#debtors.add(debt);
  }

  owedMs(debt: Debt, nowMs: number): number {
    this.#payUntil(nowMs);
    return Math.max(0, debt.dueMs - this.#paidMs);
  }

  /** By all together. */
  totalMs(nowMs: number): number {
    this.#payUntil(nowMs);
    return this.#sumMs - this.#debtors.size * this.#paidMs;
  }

  #payUntil(nowMs: number): void {
    let leftMs = (nowMs - this.#atMs) * share;
    this.#atMs = nowMs;
    while (this.#debtors.size > 0) {
      const neededMs = (this.#leastDueMs - this.#paidMs) * this.#debtors.size;
      if (neededMs > leftMs) {
        this.#paidMs += leftMs / this.#debtors.size;
        return;
      }
      leftMs -= neededMs;
      this.#paidMs = this.#leastDueMs;
      this.#release();
    }
  }

  /** Removes the debts that are paid. Each debt is looked at as often as another one ends. */
  #release(): void {
    this.#leastDueMs = Number.POSITIVE_INFINITY;
    for (const debt of this.#debtors) {
      if (debt.dueMs <= this.#paidMs) {
        this.#debtors.delete(debt);
        this.#sumMs -= debt.dueMs;
      } else this.#leastDueMs = Math.min(this.#leastDueMs, debt.dueMs);
    }
    if (this.#debtors.size === 0) this.#sumMs = 0;
  }
}

/** What one script owes; `Debts` keeps it. */
export class Debt {
  dueMs = 0;
}
