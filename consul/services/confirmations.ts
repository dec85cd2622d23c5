/**
 * Asks Consul again about services of which much went at once: a few at a time, and each again later where the
 * answer does not come. What a service keeps until then is its own affair.
 */
import { describeConsulError } from "../api/errors.ts";
import { Backoff } from "../watching/backoff.ts";
import type { Clock } from "../watching/clock.ts";
import type { Log } from "../watching/log.ts";
import type { Service } from "./service.ts";
import { SparingLog } from "./sparing-log.ts";

export interface ConfirmationsOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}

type Confirmed = Pick<Service, "key" | "confirm">;

/** What a consistent read may take. */
const withinMs = 5_000;
/** Consistent reads at once: each of them costs the leader a round through its followers. */
const width = 8;
const backoff = { baseMs: 2_000, maxMs: 30_000 };

/** A service whose read failed. */
interface Failed {
  readonly backoff: Backoff;
  readonly againAt: number;
}

export class Confirmations {
  readonly #options: ConfirmationsOptions;
  readonly #log: SparingLog;
  /** In the order in which they are asked about. */
  readonly #waiting = new Map<string, Confirmed>();
  readonly #underWay = new Map<string, Promise<void>>();
  readonly #failed = new Map<string, Failed>();
  readonly #stopping = new AbortController();

  constructor(options: ConfirmationsOptions) {
    this.#options = options;
    this.#log = new SparingLog(options);
  }

  /** To be called again and again as long as the service wants it: asks when it is this one's turn. */
  want(service: Confirmed): void {
    if (this.#underWay.has(service.key)) return;
    if (this.#options.clock.now() < (this.#failed.get(service.key)?.againAt ?? 0)) return;
    this.#waiting.set(service.key, service);
    this.#fill();
  }

  /** The service keeps nothing any more. */
  forget(key: string): void {
    this.#waiting.delete(key);
    this.#failed.delete(key);
  }

  /** Resolves when no read is left. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#waiting.clear();
    await Promise.all(this.#underWay.values());
  }

  #fill(): void {
    for (const [key, service] of this.#waiting) {
      if (this.#underWay.size >= width) return;
      this.#waiting.delete(key);
      const asking = this.#ask(service).finally(() => {
        this.#underWay.delete(key);
        this.#fill();
      });
      this.#underWay.set(key, asking);
    }
  }

  async #ask(service: Confirmed): Promise<void> {
    const { clock, random } = this.#options;
    const attempt = new AbortController();
    const cancel = clock.after(withinMs, () =>
      attempt.abort(new DOMException("The read took too long", "TimeoutError")),
    );
    const abort = () => attempt.abort();
    this.#stopping.signal.addEventListener("abort", abort, { once: true });
    try {
      await service.confirm(attempt.signal);
      this.#failed.delete(service.key);
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      const known = this.#failed.get(service.key)?.backoff ?? new Backoff(backoff, random);
      this.#failed.set(service.key, { backoff: known, againAt: clock.now() + known.next() });
      const reason = describeConsulError(error);
      this.#log.warn({ service: service.key }, `${service.key} keeps its instances: ${reason}`);
    } finally {
      cancel();
      this.#stopping.signal.removeEventListener("abort", abort);
    }
  }
}
