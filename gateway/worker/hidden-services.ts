/**
 * Tells the operator, and nobody else, that a request asked for a service which its listener does not expose. For the
 * client this is the same as a service that does not exist. Logs at most one debug line a second.
 */
import type { Log } from "../observability/logger.ts";

const quietMs = 1_000;

export class HiddenServices {
  readonly #log: Log;
  readonly #now: () => number;
  #loggedMs = Number.NEGATIVE_INFINITY;
  #leftOut = 0;

  /** `now`: monotonic milliseconds. */
  constructor(log: Log, now: () => number) {
    this.#log = log;
    this.#now = now;
  }

  note(service: string, host: string): void {
    const now = this.#now();
    if (now - this.#loggedMs < quietMs) {
      this.#leftOut += 1;
      return;
    }
    this.#log.debug(
      { service, host, leftOut: this.#leftOut },
      `service ${service} is not exposed by its name on the listener that was asked for ${host}`,
    );
    this.#loggedMs = now;
    this.#leftOut = 0;
  }
}
