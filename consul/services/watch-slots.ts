/**
 * Which services in use have a blocking query of their own, and which are polled because Consul serves
 * one address only so many. Decides nothing about which services are in use.
 */

import type { Clock } from "../watching/clock.ts";
import { Poller } from "../watching/poller.ts";
import type { Service } from "./service.ts";

export interface WatchSlotsOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly maxWatches: number;
  /** One query for a service that has no slot; rejects when it failed. */
  readonly poll: (key: string, signal: AbortSignal) => Promise<void>;
}

export class WatchSlots {
  readonly #maxWatches: number;
  readonly #poller: Poller;
  /** Both in the order of the last news: what has been quiet for longest comes first. */
  readonly #watched = new Set<Service>();
  readonly #waiting = new Set<Service>();
  readonly #closing = new Set<Promise<void>>();

  constructor(options: WatchSlotsOptions) {
    this.#maxWatches = options.maxWatches;
    this.#poller = new Poller(options);
  }

  /** Services without a slot. */
  get polled(): number {
    return this.#waiting.size;
  }

  /** Keeps a service up to date from now on, by a watch if there is one for it. It is read at once. */
  add(service: Service): void {
    if (this.#watched.has(service)) return;
    if (this.#watched.size < this.#maxWatches) this.#watch(service);
    else this.#wait(service);
  }

  /** Asks nothing more for a service; its slot goes to the one that asked or changed last. */
  remove(service: Service): void {
    if (this.#waiting.delete(service)) this.#poller.remove(service.key);
    if (!this.#unwatch(service)) return;
    const next = [...this.#waiting].at(-1);
    if (next !== undefined) this.#watch(next);
  }

  /** A service changed: one that is polled gets the slot of the one that has been quiet for longest. */
  noteChange(service: Service): void {
    if (this.#watched.delete(service)) this.#watched.add(service);
    if (!this.#waiting.has(service)) return;
    const [quietest] = this.#watched;
    if (quietest === undefined) return;
    this.#unwatch(quietest);
    this.#watch(service);
    this.#wait(quietest);
  }

  /** Polls a service before all others, if it is polled. */
  urge(service: Service): void {
    this.#poller.urge(service.key);
  }

  /** Resolves when no query is left. */
  async stop(): Promise<void> {
    for (const service of this.#watched) this.#unwatch(service);
    this.#waiting.clear();
    await Promise.all([this.#poller.stop(), ...this.#closing]);
  }

  #watch(service: Service): void {
    this.#watched.add(service);
    // Before the poll under way ends, so that to end it is no error.
    service.watch();
    if (this.#waiting.delete(service)) this.#poller.remove(service.key);
  }

  #wait(service: Service): void {
    this.#waiting.add(service);
    this.#poller.add(service.key);
  }

  /** False when it has no watch. */
  #unwatch(service: Service): boolean {
    if (!this.#watched.delete(service)) return false;
    const closing = service.unwatch();
    this.#closing.add(closing);
    void closing.finally(() => this.#closing.delete(closing));
    return true;
  }
}
