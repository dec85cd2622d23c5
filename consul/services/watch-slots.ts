/**
 * Which services in use have a blocking query of their own, and which are polled because Consul serves one
 * address a limited number. Decides nothing about which services are in use.
 */
import type { Clock } from "../watching/clock.ts";
import { Poller } from "../watching/poller.ts";
import { Rate } from "../watching/rate.ts";
import type { Service } from "./service.ts";

export interface WatchSlotsOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly maxWatches: number;
  /** One query for a service that has no slot; rejects when it failed. */
  readonly poll: (key: string, signal: AbortSignal) => Promise<void>;
  /** Since when every change of a service of the own datacenter is followed by `urge`; `null`: it is not now. */
  readonly toldSince: () => number | null;
}

/** Watches that may begin in a second, after a burst of so many: each begins with a read of its own. */
const startsPerSecond = 200;
const startsAtOnce = 200;

export class WatchSlots {
  readonly #clock: Clock;
  readonly #poller: Poller;
  readonly #starts: Rate;
  #maxWatches: number;
  /** In the order in which they got their watches. */
  readonly #watched = new Set<Service>();
  readonly #waiting = new Set<Service>();
  readonly #closing = new Set<Promise<void>>();

  constructor(options: WatchSlotsOptions) {
    this.#maxWatches = options.maxWatches;
    this.#clock = options.clock;
    this.#poller = new Poller(options);
    this.#starts = new Rate(startsPerSecond, startsAtOnce, options.clock.now());
  }

  /** Services without a slot. */
  get polled(): number {
    return this.#waiting.size;
  }

  /** Services with one, and without. */
  get size(): number {
    return this.#watched.size + this.#waiting.size;
  }

  /** Keeps a service up to date from now on, by a watch if there is one for it. It is read at once. */
  add(service: Service): void {
    if (this.#watched.has(service)) return;
    if (this.#mayWatch()) this.#watch(service);
    else this.#wait(service);
  }

  /** Asks nothing more for a service; its slot goes to the one that was asked for last. */
  remove(service: Service): void {
    if (this.#waiting.delete(service)) this.#poller.remove(service.key);
    if (this.#unwatch(service)) this.#fill();
  }

  /**
   * How many may have a watch from now on. Services of other datacenters keep their watches before others,
   * because nothing else reports their changes. A cancelled query counts in Consul until its wait is over, so
   * watches should not come and go.
   */
  fit(maxWatches: number): void {
    this.#maxWatches = maxWatches;
    const inOrder = [...this.#watched].sort((a, b) => rank(a) - rank(b));
    for (const service of inOrder.slice(0, Math.max(0, this.#watched.size - maxWatches))) {
      this.#unwatch(service);
      this.#wait(service);
    }
    this.#fill();
  }

  /** How many have a watch. */
  get watched(): number {
    return this.#watched.size;
  }

  /** Takes the watch of a service away, which is polled then, at once. */
  demote(service: Service): void {
    if (!this.#unwatch(service)) return;
    this.#wait(service);
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
    // Done before the poll under way is ended, so that its end is no error.
    service.watch();
    if (this.#waiting.delete(service)) this.#poller.remove(service.key);
  }

  #wait(service: Service): void {
    this.#waiting.add(service);
    this.#poller.add(service.key, service.datacenter === null);
  }

  #mayWatch(): boolean {
    return this.#watched.size < this.#maxWatches && this.#starts.take(this.#clock.now());
  }

  #fill(): void {
    // The last one first: it was asked for most recently.
    const waiting = this.#waiting.size === 0 ? [] : [...this.#waiting];
    for (let next = waiting.pop(); next !== undefined && this.#mayWatch(); next = waiting.pop())
      this.#watch(next);
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

function rank({ datacenter }: Service): number {
  return datacenter === null ? 0 : 1;
}
