/**
 * Whether Consul answers at all, and whether it has a leader, asked every few seconds: a query that waits tells only at the
 * end of its wait that its connection is dead, and one that failed is tried again only after a while. An answer of whatever
 * status is a sign of life.
 */
import { ConsulError, describeConsulError } from "../api/errors.ts";
import { type Clock, timeText } from "./clock.ts";

export interface PulseOptions {
  readonly clock: Clock;
  /**
   * A small read, on a connection of its own when `isNew`, else on one that is there: resolves to whether Consul has a
   * leader, without which it answers no query. Rejects when it fails.
   */
  readonly ask: (isNew: boolean, signal: AbortSignal) => Promise<boolean>;
  /** Consul answers on a new connection while an old one is dead. */
  readonly onDeadConnections: () => void;
  /** It answers again, or has a leader again: queries that failed meanwhile need not wait any longer. */
  readonly onBack: () => void;
  /** It begins to be silent, or answers again (`null`). */
  readonly onChange?: (silence: Silence | null) => void;
}

export interface Silence {
  /** ISO 8601: the time of the first unanswered question. */
  readonly since: string;
  readonly error: string;
}

const periodMs = 3_000;
/** After this it still waits for the answer, and asks again on new connections. */
const lateMs = 3_000;
/** How often it asks while Consul is silent or has no leader, so that it sees the return at once. */
const againMs = 500;
/** A question on an old connection is given up after this. */
const deadlineMs = 30_000;
/** An old connection may answer this long after a new one has, when Consul itself was late. */
const graceMs = 500;

/** `null`: a sign of life, with or without a leader; else what was wrong. */
interface Outcome {
  readonly error: string | null;
  readonly hasLeader: boolean;
}

interface Attempt {
  readonly outcome: Promise<Outcome>;
  giveUp(): void;
}

export class Pulse {
  readonly #options: PulseOptions;
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #silence: Silence | null = null;
  #hasLeader = true;

  constructor(options: PulseOptions) {
    this.#options = options;
  }

  get silence(): Silence | null {
    return this.#silence;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      await this.#beat();
      await this.#after(this.#hasLeader ? periodMs : againMs);
    }
  }

  /** One question on a connection that is there; and if it is late, others on new ones until one is answered. */
  async #beat(): Promise<void> {
    const askedAt = this.#options.clock.now();
    const old = this.#ask(false, deadlineMs);
    const first = await Promise.race([old.outcome, this.#after(lateMs)]);
    if (first?.error === null || this.#stopping.signal.aborted) {
      old.giveUp();
      await old.outcome;
      if (first?.error === null && !this.#stopping.signal.aborted) this.#led(first.hasLeader);
      return;
    }
    const since = timeText(askedAt);
    const error = first?.error ?? `Consul does not answer: nothing within ${lateMs} ms`;
    this.#enter({ since, error });
    const hasLeader = await this.#untilAnswered((reason) => this.#enter({ since, error: reason }));
    if (hasLeader !== null) {
      // A refused or cut connection shows that by itself, also to every other query.
      const wasSilent = first === undefined;
      const late = wasSilent ? await Promise.race([old.outcome, this.#after(graceMs)]) : null;
      if (!this.#stopping.signal.aborted) {
        if (late === undefined || late?.error) this.#options.onDeadConnections();
        else this.#options.onBack();
        this.#enter(null);
        this.#hasLeader = hasLeader;
      }
    }
    old.giveUp();
    await old.outcome;
  }

  /**
   * Asks on one new connection after the other, whether those before are answered or not: what was lost on its way to a
   * Consul that is back by now is sent again by the system only after seconds. Resolves to whether there is a leader; `null`:
   * it was stopped.
   */
  async #untilAnswered(onError: (error: string) => void): Promise<boolean | null> {
    const answered = Promise.withResolvers<boolean>();
    const open = new Set<Attempt>();
    let hasLeader: boolean | null = null;
    while (hasLeader === null && !this.#stopping.signal.aborted) {
      const attempt = this.#ask(true, lateMs);
      open.add(attempt);
      void attempt.outcome.then((outcome) => {
        open.delete(attempt);
        if (outcome.error === null) answered.resolve(outcome.hasLeader);
        else if (hasLeader === null && !this.#stopping.signal.aborted) onError(outcome.error);
      });
      hasLeader = (await Promise.race([answered.promise, this.#after(againMs)])) ?? null;
    }
    const left = [...open];
    for (const attempt of left) attempt.giveUp();
    await Promise.all(left.map(({ outcome }) => outcome));
    return this.#stopping.signal.aborted ? null : hasLeader;
  }

  #led(hasLeader: boolean): void {
    const isBack = hasLeader && !this.#hasLeader;
    this.#hasLeader = hasLeader;
    if (isBack) this.#options.onBack();
  }

  #ask(isNew: boolean, withinMs: number): Attempt {
    const attempt = new AbortController();
    const cancel = this.#options.clock.after(withinMs, () => attempt.abort());
    const giveUp = () => attempt.abort();
    this.#stopping.signal.addEventListener("abort", giveUp, { once: true });
    const outcome = this.#options
      .ask(isNew, attempt.signal)
      .then(
        (hasLeader) => ({ error: null, hasLeader }),
        (error: unknown) => {
          // Consul says 500 when it has no leader.
          if (error instanceof ConsulError && error.status > 0)
            return { error: null, hasLeader: error.status < 500 };
          const silent = `Consul does not answer: nothing within ${withinMs} ms`;
          return {
            error: attempt.signal.aborted ? silent : describeConsulError(error),
            hasLeader: false,
          };
        },
      )
      .finally(() => {
        cancel();
        this.#stopping.signal.removeEventListener("abort", giveUp);
      });
    return { outcome, giveUp };
  }

  #enter(silence: Silence | null): void {
    const before = this.#silence;
    this.#silence = silence;
    if ((before === null) !== (silence === null)) this.#options.onChange?.(silence);
  }

  /** Resolves to `undefined` after `ms`, or when it is stopped. */
  #after(ms: number): Promise<undefined> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    if (this.#stopping.signal.aborted) return Promise.resolve(undefined);
    const cancel = this.#options.clock.after(ms, () => resolve(undefined));
    const end = () => {
      cancel();
      resolve(undefined);
    };
    this.#stopping.signal.addEventListener("abort", end, { once: true });
    return promise.finally(() => {
      cancel();
      this.#stopping.signal.removeEventListener("abort", end);
    });
  }
}
