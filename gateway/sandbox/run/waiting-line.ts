/**
 * Requests whose script may not be called now because other scripts took too much time. They wait for a while instead
 * of being denied, since their own script did nothing wrong. Each turn of the event loop calls one of them, so that all
 * others wait for one call at most.
 */
import type { Exchange } from "../../engine/engine.ts";
import type { Wait } from "../guard/script-time.ts";

/** What is called when its turn comes. */
export interface Awaited {
  /**
   * `null`: it may be called, and the next call is taken for that one.
   * @param isAlone whether nobody but such scripts wants the worker's time.
   */
  admit(isAlone: boolean): Wait | null;
}

export interface WaitingLineOptions {
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Whether nobody but scripts whose calls are heavy wants the worker's time. */
  readonly isAlone: () => boolean;
}

interface Waiter {
  readonly exchange: Exchange<unknown>;
  readonly serial: number;
  readonly untilMs: number;
}

/** When this time is over, the script is called if it may be, else the call fails. */
const patienceMs = 2_000;
/** Of all scripts, and of one: each waiter keeps its request in memory. */
const capacity = 1_000;
const capacityOfOne = 100;
/** The pause before the next look when no waiter had its turn. */
const pauseMs = 2;

export class WaitingLine {
  readonly #options: WaitingLineOptions;
  /** Of each script, in the order of their turns. */
  readonly #queues = new Map<Awaited, Waiter[]>();
  #size = 0;
  /** The one that goes on now, because its turn has come or its time is up. */
  #leaving: Exchange<unknown> | null = null;
  #next: NodeJS.Immediate | null = null;
  #later: NodeJS.Timeout | null = null;

  constructor(options: WaitingLineOptions) {
    this.#options = options;
  }

  get isEmpty(): boolean {
    return this.#size === 0;
  }

  /** Whether this one has waited. */
  isLeaving(exchange: Exchange<unknown>): boolean {
    return this.#leaving === exchange;
  }

  /** Whether requests for this script wait, so that others of them come after those. */
  hasWaiters(script: Awaited): boolean {
    return this.#queues.has(script);
  }

  /** Holds the exchange until it is asked again. False when there is no room: it is not held. */
  enter(exchange: Exchange<unknown>, script: Awaited): boolean {
    const queue = this.#queues.get(script) ?? [];
    if (this.#size >= capacity || queue.length >= capacityOfOne) return false;
    const untilMs = this.#options.now() + patienceMs;
    queue.push({ exchange, serial: exchange.serial, untilMs });
    this.#queues.set(script, queue);
    this.#size += 1;
    exchange.hold();
    this.#schedule(true);
    return true;
  }

  /** Forgets who waits: the worker ends. */
  close(): void {
    if (this.#next !== null) clearImmediate(this.#next);
    if (this.#later !== null) clearTimeout(this.#later);
    this.#queues.clear();
    this.#size = 0;
  }

  #schedule(isSoon: boolean): void {
    if (this.#next !== null || this.#later !== null) return;
    // After what has arrived meanwhile.
    if (isSoon) this.#next = setImmediate(() => this.#turn());
    else this.#later = setTimeout(() => this.#turn(), pauseMs);
  }

  #turn(): void {
    this.#next = null;
    this.#later = null;
    this.#endPatience();
    const wasCalled = this.#callOne();
    if (this.#size > 0) this.#schedule(wasCalled);
  }

  #endPatience(): void {
    const nowMs = this.#options.now();
    for (const [script, queue] of this.#queues) {
      while ((queue[0]?.untilMs ?? nowMs + 1) <= nowMs) this.#takeFirst(script, queue);
    }
  }

  #callOne(): boolean {
    const isAlone = this.#options.isAlone();
    for (const [script, queue] of this.#queues) {
      if (script.admit(isAlone) !== null) continue;
      // The next turn is another script's.
      this.#queues.delete(script);
      this.#queues.set(script, queue);
      this.#takeFirst(script, queue);
      return true;
    }
    return false;
  }

  #takeFirst(script: Awaited, queue: Waiter[]): void {
    const first = queue.shift();
    if (queue.length === 0) this.#queues.delete(script);
    if (first === undefined) return;
    this.#size -= 1;
    const { exchange, serial } = first;
    // Its client has gone.
    if (exchange.serial !== serial) return;
    this.#leaving = exchange;
    try {
      exchange.resume();
    } finally {
      this.#leaving = null;
    }
  }
}
