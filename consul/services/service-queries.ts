/**
 * By which queries services are kept up to date: by one blocking query each while Consul takes so many, otherwise by
 * one for each node, which tells when a service is to be asked about. Decides nothing about which services are in use.
 */
import type { ConsulClient } from "../api/client.ts";
import type { Clock } from "../watching/clock.ts";
import type { Log } from "../watching/log.ts";
import type { Renewed, WatchStatus } from "../watching/watch.ts";
import { Allowance } from "./allowance.ts";
import { Bells } from "./bells/bells.ts";
import type { Service } from "./service.ts";
import { WatchSlots } from "./watch-slots.ts";

export interface ServiceQueriesOptions {
  readonly consul: ConsulClient;
  readonly clock: Clock;
  readonly random: () => number;
  readonly waitMs: number;
  readonly log: Log;
  /** Blocking queries for services: one each, or with more services than that one for each node. */
  readonly maxWatches: number;
  /** A service in use, by its key. */
  readonly find: (key: string) => Service | undefined;
}

/** With more queries for services than this, each waits longer, by the factor below. */
const manyWatches = 500;
const manyTimesLonger = 4;
/** Of the blocking queries, this share stays with services of their own however many nodes there are. */
const ownShare = 0.1;
/** Bells end when all services have had room for a watch of their own for this long. */
const bellsIdleMs = 60_000;

export class ServiceQueries {
  readonly #options: ServiceQueriesOptions;
  readonly #slots: WatchSlots;
  /** Of blocking queries, as Consul takes them. */
  readonly #allowance: Allowance;
  /** `null` while every service has a query of its own. */
  #bells: Bells | null = null;
  #bellsIdleSince: number | null = null;
  readonly #closing = new Set<Promise<void>>();

  constructor(options: ServiceQueriesOptions) {
    const { clock, random, maxWatches, find } = options;
    this.#options = options;
    this.#allowance = new Allowance({ clock, most: maxWatches });
    this.#slots = new WatchSlots({
      ...{ clock, random, maxWatches },
      poll: async (key, signal) => find(key)?.poll(signal),
      toldSince: () => this.#bells?.toldSince ?? null,
    });
  }

  /** Resolves when no query is left. */
  async stop(): Promise<void> {
    await Promise.all([this.#slots.stop(), this.#bells?.stop(), ...this.#closing]);
  }

  /** Makes the queries for nodes anew on other connections; a service renews its own. */
  renew(which: Renewed): void {
    this.#bells?.renew(which);
  }

  /** Keeps a service up to date from now on. It is read at once, unless it is kept so already. */
  follow(service: Service): void {
    this.#slots.add(service);
    this.#bellsIfNeeded();
  }

  /** Asks nothing more for a service. */
  leave(service: Service): void {
    this.#slots.remove(service);
  }

  /** Asks about a service before all others, if it has no query of its own. */
  urge(service: Service): void {
    this.#slots.urge(service);
  }

  /** Consul takes no more connections: this service is polled, and some watches make room. */
  refused(service: Service): void {
    if (this.#options.find(service.key) !== service || !service.isWatched) return;
    const { watched } = this.#slots;
    const hasMadeRoom = this.#allowance.refused(watched);
    this.#slots.demote(service);
    this.#bellsIfNeeded();
    if (!hasMadeRoom) return;
    const { watches } = this.#allowance;
    const text = `Consul refuses connections: ${watches} queries for services wait there instead of ${watched}`;
    this.#options.log.warn({ watches }, text);
    this.#slots.fit(watches);
  }

  /**
   * To be called now and then: gives services the watches that nodes leave over, and stops the bells where they are not
   * needed.
   */
  share(now: number): void {
    this.#allowance.grow();
    const { watches: maxWatches } = this.#allowance;
    if (this.#bells === null) {
      this.#slots.fit(maxWatches);
      return;
    }
    // Those that only wait for their turn to get a watch are told of changes by the bells until then.
    const isNeeded = this.#slots.size > maxWatches || this.#slots.polled > this.#bells.watchCount;
    if (isNeeded) this.#bellsIdleSince = null;
    else this.#bellsIdleSince ??= now;
    if (this.#bellsIdleSince !== null && now - this.#bellsIdleSince >= bellsIdleMs) {
      this.#stopBells();
      this.#slots.fit(maxWatches);
    } else this.#slots.fit(Math.max(1, maxWatches - this.#bells.watchCount));
  }

  /** Some registration of the own datacenter has changed, whatever the catalog shows of it. */
  registrationsMoved(): void {
    this.#bells?.registrationsMoved();
  }

  /** How long a service's blocking query may wait that begins now. */
  get waitMs(): number {
    const { waitMs } = this.#options;
    // Each wait that ends costs an answer: with thousands of queries, hundreds of answers a second.
    return this.#slots.watched < manyWatches ? waitMs : manyTimesLonger * waitMs;
  }

  /** Services that have no blocking query of their own. */
  get polled(): number {
    return this.#slots.polled;
  }

  /** Of the queries for nodes. */
  watches(): readonly WatchStatus[] {
    return this.#bells?.watches() ?? [];
  }

  #bellsIfNeeded(): void {
    if (this.#slots.polled > 0 && this.#bells === null) this.#startBells();
  }

  #startBells(): void {
    const { watches: maxWatches } = this.#allowance;
    this.#bellsIdleSince = null;
    this.#bells = new Bells({
      ...this.#options,
      maxWatches: Math.floor(maxWatches * (1 - ownShare)),
      onRing: (names) => {
        for (const name of names) {
          const service = this.#options.find(name.toLowerCase());
          if (service !== undefined) this.#slots.urge(service);
        }
      },
    });
    this.#bells.start();
  }

  #stopBells(): void {
    const closing = this.#bells?.stop() ?? Promise.resolve();
    this.#closing.add(closing);
    void closing.finally(() => this.#closing.delete(closing));
    this.#bells = null;
  }
}
