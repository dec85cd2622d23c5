/**
 * Bounds an upstream as its document says: how many requests may be there at once, which wait for room, and the
 * circuit breaker. A gate outlives the versions of its document.
 */
import type { Exchange } from "../engine/engine.ts";
import type { GateOptions } from "../model/index.ts";
import { Breaker } from "./breaker.ts";

/** A request that may have to wait, as far as the gate is concerned. */
type Waiter = Pick<Exchange<unknown>, "serial" | "hold" | "resume" | "fail">;

/** A request that waits. */
interface Waiting {
  readonly exchange: Waiter;
  readonly serial: number;
  readonly untilMs: number;
}

/**
 * `pass`: the request is counted; call `leave` when it is over. `full`: there is no room, and none in the queue
 * either. `held`: the request waits. `open`: the breaker lets no request through.
 */
export type Verdict = "pass" | "full" | "held" | "open";

/** A full queue is searched for requests whose clients have gone, at most once in so many milliseconds. */
const lookMs = 100;

export class Gate {
  readonly name: string;
  #options: GateOptions;
  #breaker: Breaker | null = null;
  #inFlight = 0;
  /** Requests that other workers have in flight, as they last reported. */
  elsewhere = 0;
  /** Monotonic milliseconds. */
  readonly #now: () => number;
  #waiting: Waiting[] = [];
  #timer: NodeJS.Timeout | null = null;
  /** When the timer ends; `Infinity`: there is none. */
  #timerMs = Number.POSITIVE_INFINITY;
  #isWaking = false;
  /** Whether it was abandoned. Then nothing bounds it, since the other workers no longer report their load. */
  #isAbandoned = false;
  /** When a full queue was last searched. */
  #lookedMs = Number.NEGATIVE_INFINITY;
  /** The request that has just been woken. It need not queue again behind those that came later. */
  #woken: Waiting | null = null;

  constructor(name: string, options: GateOptions, now: () => number) {
    this.name = name;
    this.#now = now;
    this.#options = options;
    this.options = options;
  }

  get options(): GateOptions {
    return this.#options;
  }

  /** Takes the options from another version of the document. */
  set options(options: GateOptions) {
    this.#options = options;
    if (options.breaker === null) this.#breaker = null;
    else if (this.#breaker?.options !== options.breaker)
      this.#breaker = new Breaker(options.breaker, this.#breaker);
    this.wake();
  }

  /** Its document is gone, or sets no bounds any more: waiting requests go on, and are routed anew. */
  abandon(): void {
    this.#isAbandoned = true;
    this.wake();
  }

  get breaker(): Breaker | null {
    return this.#breaker;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** A new request asks to pass, or a woken one asks again. */
  enter(exchange: Waiter, nowMs: number): Verdict {
    const isNext = this.#woken !== null && this.#woken.exchange === exchange;
    if (!isNext && this.#waiting.length > 0) return this.wait(exchange, nowMs);
    const verdict = this.admit(nowMs);
    return verdict === "full" ? this.wait(exchange, nowMs) : verdict;
  }

  /** Admits something that cannot wait. */
  admit(nowMs: number): "pass" | "full" | "open" {
    if (!this.#hasRoom) return "full";
    if (this.#breaker !== null && !this.#breaker.admit(nowMs)) return "open";
    this.#inFlight += 1;
    return "pass";
  }

  /** Holds the exchange until `wake` finds room for it. */
  wait(exchange: Waiter, nowMs: number): Verdict {
    const woken = this.#woken?.exchange === exchange ? this.#woken : null;
    const untilMs = woken?.untilMs ?? nowMs + this.#options.queueTimeoutMs;
    if (woken !== null) {
      // The request keeps its place in the queue and its deadline.
      this.#waiting.unshift(woken);
      this.#woken = null;
    } else {
      if (this.#waiting.length >= this.#options.queue && !this.#dropGone(nowMs)) return "full";
      this.#waiting.push({ exchange, serial: exchange.serial, untilMs });
    }
    exchange.hold();
    this.#watch(untilMs, nowMs);
    return "held";
  }

  /** A request that passed is over. `beganMs`: when it passed. */
  leave(beganMs: number): void {
    this.#inFlight -= 1;
    this.#breaker?.release(beganMs);
    this.wake();
  }

  /** There may be room. Waiting requests go on in a later turn, because the caller is still at work. */
  wake(): void {
    if (this.#isWaking || this.#waiting.length === 0) return;
    this.#isWaking = true;
    setImmediate(() => {
      this.#isWaking = false;
      this.#wakeAll();
    });
  }

  /**
   * Drops waiting requests whose clients have gone, unless it did so just before. Returns whether the queue has room.
   */
  #dropGone(nowMs: number): boolean {
    if (nowMs < this.#lookedMs + lookMs) return false;
    this.#lookedMs = nowMs;
    this.#waiting = this.#waiting.filter(({ exchange, serial }) => exchange.serial === serial);
    return this.#waiting.length < this.#options.queue;
  }

  get #hasRoom(): boolean {
    if (this.#isAbandoned) return true;
    const { maxRequests } = this.#options;
    return maxRequests === 0 || this.#inFlight + this.elsewhere < maxRequests;
  }

  #wakeAll(): void {
    while (this.#waiting.length > 0 && this.#hasRoom) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      // The client of this request has gone.
      if (next.exchange.serial !== next.serial) continue;
      this.#woken = next;
      next.exchange.resume();
      // The request waits again: the gate has room, but no peer has.
      const isBack = this.#woken === null;
      this.#woken = null;
      if (isBack) return;
    }
  }

  /**
   * Makes the timer that fails the requests which have waited too long end no later than `untilMs`. A later request
   * may have less time than those before it, when another version of the document says so.
   */
  #watch(untilMs: number, nowMs: number): void {
    if (untilMs >= this.#timerMs) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timerMs = untilMs;
    this.#timer = setTimeout(
      () => {
        this.#timer = null;
        this.#timerMs = Number.POSITIVE_INFINITY;
        this.#expire();
      },
      Math.max(1, untilMs - nowMs),
    );
    // A process that only waits for it has no client that could be told.
    this.#timer.unref();
  }

  #expire(): void {
    const nowMs = this.#now();
    const late = this.#waiting.filter(({ untilMs }) => untilMs <= nowMs);
    this.#waiting = this.#waiting.filter(({ untilMs }) => untilMs > nowMs);
    const message = `${this.name}: no room in ${this.#options.queueTimeoutMs} ms`;
    for (const { exchange, serial } of late)
      if (exchange.serial === serial)
        exchange.fail(503, "queue_timeout", message, { "retry-after": "1" });
    let untilMs = Number.POSITIVE_INFINITY;
    for (const one of this.#waiting) untilMs = Math.min(untilMs, one.untilMs);
    this.#watch(untilMs, nowMs);
  }
}
