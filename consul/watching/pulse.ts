/**
 * Whether Consul answers at all, asked every few seconds: a query that waits tells only at the end of its wait that
 * its connection is dead. An answer of whatever status is a sign of life.
 */
import { ConsulError, describeConsulError } from "../api/errors.ts";
import { type Clock, timeText } from "./clock.ts";

export interface PulseOptions {
  readonly clock: Clock;
  /** A small read, on a connection of its own when `isNew`, else on one that is there. Rejects when it fails. */
  readonly ask: (isNew: boolean, signal: AbortSignal) => Promise<unknown>;
  /** Consul answers on a new connection while an old one is dead. */
  readonly onDeadConnections: () => void;
  /** It begins to be silent, or answers again (`null`). */
  readonly onChange?: (silence: Silence | null) => void;
}

export interface Silence {
  /** ISO 8601: when it was asked what it has not answered. */
  readonly since: string;
  readonly error: string;
}

const periodMs = 3_000;
/** An answer that takes longer is waited for still, while others are asked for on new connections. */
const lateMs = 3_000;
/** What is asked on an old connection is given up after this. */
const deadlineMs = 30_000;
/** An old connection may answer this long after a new one has, when Consul itself was late. */
const graceMs = 1_000;

export class Pulse {
  readonly #options: PulseOptions;
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #silence: Silence | null = null;

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
      await this.#after(periodMs);
    }
  }

  /** One question on a connection that is there; and if it is late, others on new ones until one is answered. */
  async #beat(): Promise<void> {
    const askedAt = this.#options.clock.now();
    const old = this.#ask(false, deadlineMs);
    const first = await Promise.race([old.outcome, this.#after(lateMs)]);
    if (first === null || this.#stopping.signal.aborted) {
      old.giveUp();
      await old.outcome;
      return;
    }
    let error = first ?? `Consul does not answer: nothing within ${lateMs} ms`;
    for (;;) {
      this.#enter({ since: timeText(askedAt), error });
      const fresh = this.#ask(true, lateMs);
      const outcome = await fresh.outcome;
      if (this.#stopping.signal.aborted) break;
      if (outcome === null) {
        // What was refused or cut showed that by itself, also to every other query.
        const wasSilent = first === undefined;
        const late = wasSilent ? await Promise.race([old.outcome, this.#after(graceMs)]) : null;
        if (this.#stopping.signal.aborted) break;
        if (late !== null) this.#options.onDeadConnections();
        this.#enter(null);
        break;
      }
      error = outcome;
      await this.#after(lateMs / 3);
      if (this.#stopping.signal.aborted) break;
    }
    old.giveUp();
    await old.outcome;
  }

  /** `outcome`: `null` for a sign of life, else what was wrong. */
  #ask(isNew: boolean, withinMs: number): { outcome: Promise<string | null>; giveUp(): void } {
    const attempt = new AbortController();
    const cancel = this.#options.clock.after(withinMs, () => attempt.abort());
    const giveUp = () => attempt.abort();
    this.#stopping.signal.addEventListener("abort", giveUp, { once: true });
    const outcome = this.#options
      .ask(isNew, attempt.signal)
      .then(
        () => null,
        (error: unknown) => {
          if (error instanceof ConsulError && error.status > 0) return null;
          return attempt.signal.aborted
            ? `Consul does not answer: nothing within ${withinMs} ms`
            : describeConsulError(error);
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
