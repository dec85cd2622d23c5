/**
 * One blocking query, kept alive for ever. Knows how to ask again, when, and how long to wait; knows
 * nothing of what is asked or of what an answer means.
 *
 * Source: Consul's API page "Blocking Queries", "Implementation Details".
 */

import { ConsulError, describeConsulError } from "../api/errors.ts";
import { Backoff } from "./backoff.ts";
import { type Clock, timeText } from "./clock.ts";

/** How one query is to be made. */
export interface WatchQuery {
  /** `null`: answer at once. */
  readonly index: number | null;
  readonly waitMs: number;
  readonly signal: AbortSignal;
  /** It is a watch's. */
  readonly isWatch?: true;
}

export interface Answer<T> {
  /** `X-Consul-Index`; 0 when Consul says 0. */
  readonly index: number;
  readonly value: T;
  /** Consul left out what the token may not see. */
  readonly filtered: boolean;
  /** Of its body. */
  readonly bytes: number;
  /** It brings something new although the index says that it does not. */
  readonly isNews?: true;
}

/** An answer that brings something new, or is the first after an error. */
export interface WatchEvent<T> extends Omit<Answer<T>, "bytes" | "isNews"> {
  /** The index is lower than the last one: Consul has gone back in time, or is another Consul. */
  readonly backwards: boolean;
  /** The query before this one failed. */
  readonly afterError: boolean;
}

export interface WatchOptions<T> {
  readonly name: string;
  readonly clock: Clock;
  /** 0 to 1. */
  readonly random: () => number;
  /** The longest that Consul may hold a query back; each has up to a fifth less. Default 30000. */
  readonly waitMs?: number;
  /** What a query may take beyond `wait + wait / 16`, and a query without an index twice. Default 5000. */
  readonly marginMs?: number;
  /**
   * After an answer with news the next query waits as if it had come at this rate, so that many changes of
   * something large are read together. Default: no bound.
   */
  readonly bytesPerSecond?: number;
  /** Makes one query; rejects when there is no answer or it makes no sense. */
  readonly query: (query: WatchQuery) => Promise<Answer<T>>;
  /** Must not throw; when it does, the answer counts as failed and is asked for again. */
  readonly onAnswer: (event: WatchEvent<T>) => void;
  /** When it begins to fail, and when an answer comes after that or for the first time. */
  readonly onStateChange?: (status: WatchStatus) => void;
}

/** Which watches are to ask at once. */
export type Renewed = "all" | "failed";

export type WatchState = "starting" | "ok" | "failing";

export interface WatchStatus {
  readonly name: string;
  /** The index of the last answer; `null` before the first. */
  readonly index: number | null;
  readonly state: WatchState;
  /** Since when it is in this state; this and `lastAnswerAt` in ISO 8601. */
  readonly since: string;
  /** Kept after it is over; `state` says whether it is. */
  readonly lastError: string | null;
  readonly lastAnswerAt: string | null;
  /** Answers so far, those without news included. */
  readonly answers: number;
  /** Queries so far that brought none. */
  readonly errors: number;
}

/**
 * Proxies in front of Consul end what is silent for a minute, and Consul adds up to a sixteenth. A connection that is
 * dead without a word is noticed by the end of this, if by nothing else.
 */
export const defaultWaitMs = 30_000;
const defaultMarginMs = 5_000;
/**
 * The first wait after an error: until it has ended well, the watch counts as failing. A plain read may work where
 * a query that waits is refused, as where a client has too many connections.
 */
const probeWaitMs = 500;

/** After an error: 100 ms to 10 s. */
const errorBackoff = { baseMs: 100, maxMs: 10_000 };
/** After an answer that came at once and brought nothing: a server that ignores `wait`. */
const idleBackoff = { baseMs: 100, maxMs: 1_000 };
/**
 * Answers with news are asked on at once, up to this many in a row; then at this rate. A busy prefix
 * is read in batches then, and a server that counts its index up by itself is not hammered.
 */
const burst = 20;
const newsPerSecond = 20;

export class Watch<T> {
  readonly #options: WatchOptions<T>;
  readonly #errors: Backoff;
  readonly #idle: Backoff;
  readonly #stopping = new AbortController();
  #running: Promise<void> | null = null;

  /** Ends the query or the pause under way. */
  #interrupt: (() => void) | null = null;
  #isRenewed = false;
  #isPausing = false;
  /** The last query failed. */
  #hasFailed = false;
  #state: WatchState = "starting";
  #since: number;
  #lastError: string | null = null;
  #lastAnswerAt: number | null = null;
  #lastIndex: number | null = null;
  #answers = 0;
  #failed = 0;
  /** What the next query waits on; `null` reads at once. */
  #nextIndex: number | null = null;
  #credit = burst;
  #creditAt: number;

  constructor(options: WatchOptions<T>) {
    this.#options = options;
    this.#errors = new Backoff(errorBackoff, options.random);
    this.#idle = new Backoff(idleBackoff, options.random);
    this.#since = options.clock.now();
    this.#creditAt = this.#since;
  }

  /** Asks for the first time. Does nothing when it runs already. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Ends the query under way; resolves when nothing of this watch is left. It cannot start again. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  /**
   * Asks at once: what waits after a failure (`failed`) need not wait any longer; of `all`, connections may be dead, so
   * that a query under way is taken back, too, and what it waits for is taken anew. That is no failure.
   */
  renew(which: Renewed): void {
    if (this.#interrupt === null) return;
    if (which === "failed" && !(this.#hasFailed && this.#isPausing)) return;
    this.#isRenewed = true;
    this.#interrupt();
  }

  status(): WatchStatus {
    return {
      name: this.#options.name,
      index: this.#lastIndex,
      state: this.#state,
      since: timeText(this.#since),
      lastError: this.#lastError,
      lastAnswerAt: this.#lastAnswerAt === null ? null : timeText(this.#lastAnswerAt),
      answers: this.#answers,
      errors: this.#failed,
    };
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const pauseMs = await this.#askOnce();
      if (pauseMs > 0) await this.#pause(pauseMs);
    }
  }

  /** One query and what follows from it; resolves to how long to wait before the next. */
  async #askOnce(): Promise<number> {
    const { clock } = this.#options;
    const askedAt = clock.now();
    const index = this.#nextIndex;
    const waitMs = this.#nextWait();
    try {
      const answer = await this.#query(index, waitMs);
      if (this.#stopping.signal.aborted) return 0;
      const afterError = this.#hasFailed;
      const backwards = this.#lastIndex !== null && answer.index < this.#lastIndex;
      const news = this.#lastIndex !== answer.index || afterError || answer.isNews === true;
      if (news) this.#options.onAnswer({ ...answer, backwards, afterError });
      this.#hasFailed = false;
      this.#answers += 1;
      this.#lastAnswerAt = clock.now();
      this.#lastIndex = answer.index;
      // An index that went back or is 0 cannot be waited on: read once more, then wait on that.
      this.#nextIndex = backwards || answer.index === 0 ? null : answer.index;
      const isProbe = this.#state === "failing" && answer.index !== 0;
      if (!isProbe || index !== null) {
        this.#errors.reset();
        this.#enter("ok");
      }
      if (news && answer.index !== 0) {
        this.#idle.reset();
        return Math.max(this.#spendCredit(), this.#paceMs(answer.bytes));
      }
      const early = clock.now() - askedAt < waitMs / 2;
      if (!early) this.#idle.reset();
      return early ? this.#idle.next() : 0;
    } catch (error) {
      if (this.#stopping.signal.aborted) return 0;
      // Whatever happened meanwhile must not be waited for: the next query reads at once.
      this.#nextIndex = null;
      if (this.#isRenewed) {
        this.#isRenewed = false;
        return 0;
      }
      this.#hasFailed = true;
      this.#failed += 1;
      this.#lastError = describeConsulError(error);
      this.#enter("failing");
      return this.#errors.next();
    }
  }

  #nextWait(): number {
    if (this.#state === "failing") return Math.min(probeWaitMs, this.#waitMs);
    // Spread, so that queries that began together do not end together for ever.
    return Math.round(this.#waitMs * (1 - this.#options.random() / 5));
  }

  /** The query with its deadline, so that a connection that hangs is given up. */
  async #query(index: number | null, waitMs: number): Promise<Answer<T>> {
    const { clock, name, marginMs = defaultMarginMs } = this.#options;
    const deadlineMs = index === null ? 2 * marginMs : waitMs + waitMs / 16 + marginMs;
    const attempt = new AbortController();
    const abort = () => attempt.abort();
    let late = false;
    const cancel = clock.after(deadlineMs, () => {
      late = true;
      abort();
    });
    this.#stopping.signal.addEventListener("abort", abort, { once: true });
    this.#interrupt = abort;
    try {
      return await this.#options.query({ index, waitMs, signal: attempt.signal, isWatch: true });
    } catch (error) {
      if (!late) throw error;
      const waited = `no whole answer for ${name} within ${Math.round(deadlineMs)} ms`;
      throw new ConsulError("timeout", `Consul does not answer: ${waited}`, 0, error);
    } finally {
      cancel();
      this.#interrupt = null;
      this.#stopping.signal.removeEventListener("abort", abort);
    }
  }

  #enter(state: WatchState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#since = this.#options.clock.now();
    this.#options.onStateChange?.(this.status());
  }

  /** 0 while there is credit, else the time until there is. */
  #spendCredit(): number {
    const now = this.#options.clock.now();
    const earned = ((now - this.#creditAt) / 1000) * newsPerSecond;
    this.#credit = Math.min(burst, this.#credit + Math.max(0, earned)) - 1;
    this.#creditAt = now;
    return this.#credit >= 0 ? 0 : (-this.#credit / newsPerSecond) * 1000;
  }

  #paceMs(bytes: number): number {
    const { bytesPerSecond = Number.POSITIVE_INFINITY } = this.#options;
    return (bytes / bytesPerSecond) * 1000;
  }

  #pause(ms: number): Promise<void> {
    const { signal } = this.#stopping;
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const end = () => {
        cancel();
        this.#interrupt = null;
        this.#isRenewed = false;
        this.#isPausing = false;
        signal.removeEventListener("abort", end);
        resolve();
      };
      this.#interrupt = end;
      this.#isPausing = true;
      const cancel = this.#options.clock.after(ms, end);
      signal.addEventListener("abort", end, { once: true });
    });
  }

  get #waitMs(): number {
    return this.#options.waitMs ?? defaultWaitMs;
  }
}
