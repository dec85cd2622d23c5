/**
 * Time that passes with the turns of the event loop. Where clients, an engine and peers share one process, whatever
 * is on its way moves in every turn. Deadlines by this clock find those late who do nothing, and never those who wait
 * for a processor or were stopped.
 */

const tickMs = 3;
/** However long a turn takes. A hundred milliseconds are twenty turns at least. */
const mostPerTurnMs = 5;
/** When nobody has looked for so many turns, time stands still until the next look. */
const turnsUnseen = 1_000;

/** Of this process, which has one event loop. */
class LoopTime {
  #passedMs = 0;
  #turnMs = 0;
  #unseen = 0;
  #timer: NodeJS.Timeout | null = null;

  look(): number {
    this.#unseen = 0;
    if (this.#timer === null) {
      this.#turnMs = performance.now();
      this.#timer = setInterval(() => this.#onTurn(), tickMs).unref();
    }
    return this.#passedMs;
  }

  #onTurn(): void {
    const nowMs = performance.now();
    this.#passedMs += Math.min(mostPerTurnMs, nowMs - this.#turnMs);
    this.#turnMs = nowMs;
    this.#unseen += 1;
    if (this.#unseen < turnsUnseen || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }
}

const loopTime = new LoopTime();

export class LoopClock {
  #skippedMs = 1_000;

  /** Monotonic milliseconds. */
  readonly now = (): number => loopTime.look() + this.#skippedMs;

  /** So much time is over at once. */
  pass(ms: number): void {
    this.#skippedMs += ms;
  }
}
