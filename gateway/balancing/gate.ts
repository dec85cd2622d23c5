/**
 * What stands in front of an upstream whose document bounds it: how many requests may be there at once, who waits for
 * another to end, and the circuit breaker. It outlives the versions of its document.
 */
import type { Exchange } from "../engine/engine.ts";
import type { GateOptions } from "../model/index.ts";
import { Breaker } from "./breaker.ts";

/** What a gate needs of a request. */
type Guest = Pick<Exchange<unknown>, "serial" | "hold" | "resume" | "fail">;

/** A request that waits. */
interface Waiting {
  readonly exchange: Guest;
  readonly serial: number;
  readonly untilMs: number;
}

/**
 * `pass`: it is counted, and `leave` is to be called when it is over. `full`: neither is there room, nor in the queue.
 * `held`: it waits. `open`: the breaker lets nobody through.
 */
export type Verdict = "pass" | "full" | "held" | "open";

/** A full queue is looked through for places to have no more often. */
const lookMs = 100;

export class Gate {
  readonly name: string;
  #options: GateOptions;
  #breaker: Breaker | null = null;
  #inFlight = 0;
  /** In flight from the other workers, as they said last. */
  elsewhere = 0;
  /** Monotonic milliseconds. */
  readonly #now: () => number;
  #waiting: Waiting[] = [];
  #timer: NodeJS.Timeout | null = null;
  #isWaking = false;
  /** The other workers tell nothing of it then. */
  #isAbandoned = false;
  /** When a full queue was last looked through. */
  #lookedMs = Number.NEGATIVE_INFINITY;
  /** The one that has just been woken: it need not queue again behind those that came later. */
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

  /** Another version of its document. */
  set options(options: GateOptions) {
    this.#options = options;
    if (options.breaker === null) this.#breaker = null;
    else if (this.#breaker?.options !== options.breaker)
      this.#breaker = new Breaker(options.breaker, this.#breaker);
    this.wake();
  }

  /** Its document is gone, or bounds nothing any more: whoever waits goes where it belongs now. */
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

  /** A request comes, or comes again because there is room. */
  enter(exchange: Guest, nowMs: number): Verdict {
    const isNext = this.#woken !== null && this.#woken.exchange === exchange;
    if (!isNext && this.#waiting.length > 0) return this.wait(exchange, nowMs);
    const verdict = this.admit(nowMs);
    return verdict === "full" ? this.wait(exchange, nowMs) : verdict;
  }

  /** Something comes that cannot wait. */
  admit(nowMs: number): "pass" | "full" | "open" {
    if (!this.#hasRoom) return "full";
    if (this.#breaker !== null && !this.#breaker.admit(nowMs)) return "open";
    this.#inFlight += 1;
    return "pass";
  }

  /** Holds the exchange until `wake` finds room for it. */
  wait(exchange: Guest, nowMs: number): Verdict {
    const woken = this.#woken?.exchange === exchange ? this.#woken : null;
    if (woken !== null) {
      // It keeps its place and its time.
      this.#waiting.unshift(woken);
      this.#woken = null;
    } else {
      if (this.#waiting.length >= this.#options.queue && !this.#dropGone(nowMs)) return "full";
      const untilMs = nowMs + this.#options.queueTimeoutMs;
      this.#waiting.push({ exchange, serial: exchange.serial, untilMs });
    }
    exchange.hold();
    this.#watch(nowMs);
    return "held";
  }

  /** A request that passed is over. */
  leave(beganMs: number): void {
    this.#inFlight -= 1;
    this.#breaker?.release(beganMs);
    this.wake();
  }

  /** There may be room. Those that wait go on in a later turn, since the one that makes room is still at it. */
  wake(): void {
    if (this.#isWaking || this.#waiting.length === 0) return;
    this.#isWaking = true;
    setImmediate(() => {
      this.#isWaking = false;
      this.#wakeAll();
    });
  }

  /** Leaves out those whose clients have gone; not at once again. Returns whether there is a place in the queue now. */
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
      // Its client has gone.
      if (next.exchange.serial !== next.serial) continue;
      this.#woken = next;
      next.exchange.resume();
      // It waits again: no peer has room, though there is some in front of them.
      const isBack = this.#woken === null;
      this.#woken = null;
      if (isBack) return;
    }
  }

  /** Fails those whose time is up, once it is. */
  #watch(nowMs: number): void {
    if (this.#timer !== null) return;
    let untilMs = Number.POSITIVE_INFINITY;
    for (const one of this.#waiting) untilMs = Math.min(untilMs, one.untilMs);
    if (untilMs === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = null;
        this.#expire();
      },
      Math.max(1, untilMs - nowMs),
    );
  }

  #expire(): void {
    const nowMs = this.#now();
    const late = this.#waiting.filter(({ untilMs }) => untilMs <= nowMs);
    this.#waiting = this.#waiting.filter(({ untilMs }) => untilMs > nowMs);
    const message = `${this.name}: no room in ${this.#options.queueTimeoutMs} ms`;
    for (const { exchange, serial } of late)
      if (exchange.serial === serial)
        exchange.fail(503, "queue_timeout", message, { "retry-after": "1" });
    this.#watch(nowMs);
  }
}
