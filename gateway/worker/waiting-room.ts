/**
 * Requests that wait for a service which nobody watched before they came. Their number is bounded, and each waits
 * only for a short while. The room knows no router: a resumed request is routed again.
 */
import type { Exchange } from "../engine/engine.ts";

export interface WaitingRoomOptions<C> {
  /** How long a request may wait, in milliseconds. */
  readonly timeoutMs: number;
  /** Requests that may wait at once. */
  readonly capacity: number;
  /** Asks the primary to watch the service. */
  readonly ask: (service: string) => void;
  /** The time is up; the exchange is still held. */
  readonly onTimeout: (exchange: Exchange<C>, service: string) => void;
}

interface Party<C> {
  readonly waiters: { readonly exchange: Exchange<C>; readonly serial: number }[];
  readonly timer: NodeJS.Timeout;
}

export class WaitingRoom<C> {
  readonly #options: WaitingRoomOptions<C>;
  readonly #parties = new Map<string, Party<C>>();
  #size = 0;

  constructor(options: WaitingRoomOptions<C>) {
    this.#options = options;
  }

  /** Holds the exchange until `arrived(service)`. Returns false, and does not hold it, when the room is full. */
  enter(exchange: Exchange<C>, service: string): boolean {
    if (this.#size >= this.#options.capacity) return false;
    let party = this.#parties.get(service);
    if (party === undefined) {
      const timer = setTimeout(() => this.#expire(service), this.#options.timeoutMs);
      party = { waiters: [], timer };
      this.#parties.set(service, party);
      this.#options.ask(service);
    }
    party.waiters.push({ exchange, serial: exchange.serial });
    this.#size += 1;
    exchange.hold();
    return true;
  }

  /** The service has an entry now: requests that wait for it go on. */
  arrived(service: string): void {
    for (const exchange of this.#leave(service)) exchange.resume();
  }

  #expire(service: string): void {
    for (const exchange of this.#leave(service)) this.#options.onTimeout(exchange, service);
  }

  /** Empties the service's queue, and returns the exchanges whose clients are still there. */
  #leave(service: string): readonly Exchange<C>[] {
    const party = this.#parties.get(service);
    if (party === undefined) return [];
    clearTimeout(party.timer);
    this.#parties.delete(service);
    this.#size -= party.waiters.length;
    return party.waiters
      .filter(({ exchange, serial }) => exchange.serial === serial)
      .map(({ exchange }) => exchange);
  }
}
