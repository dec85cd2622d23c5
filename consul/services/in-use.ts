/**
 * The services in use: those that requests asked for and those that documents name. Decides which are
 * to be kept up to date, and when one is no longer in use.
 */
import type { Instance, Observed } from "../../gateway/model/index.ts";
import type { ConsulClient } from "../api/client.ts";
import type { Clock } from "../watching/clock.ts";
import type { WatchStatus } from "../watching/watch.ts";
import { Service } from "./service.ts";
import { type ServiceId, splitServiceKey } from "./service-key.ts";
import { UnknownServices } from "./unknown-services.ts";
import { WatchSlots } from "./watch-slots.ts";

export interface ServicesInUseOptions {
  readonly consul: ConsulClient;
  readonly clock: Clock;
  readonly random: () => number;
  readonly waitMs: number;
  readonly maxWatches: number;
  readonly emit: (changes: readonly Observed[]) => void;
  /** The catalog of a datacenter, `null` being the own one; `null` when it is not followed. */
  readonly catalogOf: (
    datacenter: string | null,
  ) => { readonly known: boolean; has(name: string): boolean } | null;
  readonly previous?: ReadonlyMap<string, readonly Instance[]> | undefined;
}

export interface HeldService {
  readonly key: string;
  /** ISO 8601. */
  readonly since: string;
  readonly why: string;
  /** How many of its instances are held. */
  readonly instances: number;
}

/** A service that no document names stays in use this long after it left the catalog. */
export const lingerMs = 10 * 60_000;
const sweepMs = 1_000;
const maxPending = 1_000;

export class ServicesInUse {
  readonly #options: ServicesInUseOptions;
  readonly #inUse = new Map<string, Service>();
  readonly #slots: WatchSlots;
  readonly #unknown: UnknownServices;
  /** Asked for before the catalog was known. */
  readonly #pending = new Set<string>();
  #cancelSweep: (() => void) | null = null;

  constructor(options: ServicesInUseOptions) {
    this.#options = options;
    this.#unknown = new UnknownServices(options.clock);
    this.#slots = new WatchSlots({
      clock: options.clock,
      random: options.random,
      maxWatches: options.maxWatches,
      poll: async (key, signal) => this.#inUse.get(key)?.poll(signal),
    });
  }

  start(): void {
    const { previous, emit } = this.#options;
    const leftOver: Observed[] = [];
    for (const [key, instances] of previous ?? []) {
      const query = splitServiceKey(key);
      // What was in use before is in use again: its instances serve already.
      if (query !== null && (instances.length > 0 || this.#isInCatalog(query)))
        this.#open(key, query).asked = true;
      else leftOver.push({ kind: "service", key, value: null });
    }
    if (leftOver.length > 0) emit(leftOver);
    this.#scheduleSweep();
  }

  async stop(): Promise<void> {
    this.#cancelSweep?.();
    for (const service of this.#inUse.values()) service.close();
    this.#inUse.clear();
    await this.#slots.stop();
  }

  /**
   * A request asks for a service. One that the catalog has is watched from now on. One that does not
   * exist gets an empty list and no watch, so that made-up names cost nothing that lasts.
   */
  use(key: string): void {
    const query = splitServiceKey(key);
    if (query === null) return;
    const service = this.#inUse.get(key);
    if (service !== undefined) {
      service.asked = true;
      return;
    }
    if (query.datacenter === null && !this.#isCatalogKnown) {
      if (this.#pending.size < maxPending) this.#pending.add(key);
    } else if (this.#isInCatalog(query)) this.#open(key, query).asked = true;
    else this.#options.emit(this.#unknown.add(key));
  }

  /** The services that documents name now; they are in use whether or not the catalog has them. */
  name(keys: ReadonlySet<string>): void {
    for (const key of keys) {
      const query = splitServiceKey(key);
      if (query !== null) this.#open(key, query).named = true;
    }
    for (const service of this.#inUse.values()) {
      if (!service.named || keys.has(service.key)) continue;
      service.named = false;
      if (!service.asked) this.#close(service);
    }
  }

  /** The own datacenter has this name now; what was in use under it has a key without it. */
  ownDatacenter(name: string): void {
    for (const service of [...this.#inUse.values()]) {
      if (service.datacenter === name) this.#close(service);
    }
  }

  /** A catalog changed; `keys`: the services that came, went or have other tags. */
  catalogChanged(keys: Iterable<string>): void {
    for (const key of keys) {
      const service = this.#inUse.get(key);
      if (service === undefined) continue;
      this.#follow(service);
      this.#slots.urge(service);
    }
    const waiting = [...this.#pending, ...this.#unknown.keys()];
    this.#pending.clear();
    for (const key of waiting) {
      const query = splitServiceKey(key);
      if (!this.#unknown.has(key) || (query !== null && this.#isInCatalog(query))) this.use(key);
    }
  }

  /** Resolves once every service that has a watch now has had its first answer, or an error. */
  async settled(): Promise<void> {
    const watched = [...this.#inUse.values()].filter((service) => service.isWatched);
    await Promise.all(watched.map((service) => service.firstOutcome));
  }

  get count(): number {
    return this.#inUse.size;
  }

  get polled(): number {
    return this.#slots.polled;
  }

  watches(): readonly WatchStatus[] {
    return [...this.#inUse.values()].flatMap((service) => service.watchStatus() ?? []);
  }

  held(): readonly HeldService[] {
    return [...this.#inUse.values()].flatMap(({ key, instances }) => {
      const holds = instances.held();
      const [first] = holds;
      if (first === undefined) return [];
      return [{ key, since: first.since, why: first.why, instances: holds.length }];
    });
  }

  /** Ends the holds; returns how many services had any. */
  release(): number {
    let released = 0;
    for (const service of this.#inUse.values()) {
      if (service.instances.release() === 0) continue;
      released += 1;
      this.#emitInstances(service);
    }
    return released;
  }

  #open(key: string, query: ServiceId): Service {
    const known = this.#inUse.get(key);
    if (known !== undefined) return known;
    const service = this.#create(key, query);
    this.#follow(service);
    return service;
  }

  #create(key: string, { name, datacenter }: ServiceId): Service {
    const { consul, clock, random, waitMs, previous } = this.#options;
    const service = new Service({
      key,
      name,
      datacenter,
      consul,
      clock,
      random,
      waitMs,
      previous: previous?.get(key),
      onInstances: (one, isChange) => this.#onInstances(one, isChange),
    });
    this.#unknown.delete(key);
    this.#inUse.set(key, service);
    return service;
  }

  /** Keeps it up to date, unless the catalog's own watch is enough to know when there is news. */
  #follow(service: Service): void {
    if (this.#isAway(service)) this.#slots.remove(service);
    else this.#slots.add(service);
  }

  #onInstances(service: Service, isChange: boolean): void {
    if (this.#inUse.get(service.key) !== service) return;
    if (isChange) this.#slots.noteChange(service);
    this.#follow(service);
    this.#emitInstances(service);
  }

  #emitInstances({ key, instances }: Service): void {
    this.#options.emit([{ kind: "service", key, value: instances.instances() }]);
  }

  #close(service: Service): void {
    this.#forget(service);
    this.#options.emit([{ kind: "service", key: service.key, value: null }]);
  }

  #forget(service: Service): void {
    this.#inUse.delete(service.key);
    this.#slots.remove(service);
    service.close();
  }

  #scheduleSweep(): void {
    this.#cancelSweep = this.#options.clock.after(sweepMs, () => {
      this.#sweep();
      this.#scheduleSweep();
    });
  }

  /** What happens with time alone: holds that settle, services that nobody has any more. */
  #sweep(): void {
    const now = this.#options.clock.now();
    for (const service of this.#inUse.values()) {
      if (service.instances.settle()) this.#emitInstances(service);
      if (this.#isListed(service)) service.unlistedSince = null;
      else {
        service.unlistedSince ??= now;
        if (now - service.unlistedSince >= lingerMs) this.#close(service);
      }
      // Also when an operator has ended holds.
      if (this.#inUse.has(service.key)) this.#follow(service);
    }
    const changes = this.#unknown.expire();
    if (changes.length > 0) this.#options.emit(changes);
  }

  get #isCatalogKnown(): boolean {
    return this.#options.catalogOf(null)?.known ?? false;
  }

  #isInCatalog({ name, datacenter }: ServiceId): boolean {
    return this.#options.catalogOf(datacenter)?.has(name) ?? false;
  }

  /** Whether anything but an earlier request speaks for it; true as long as that is not known. */
  #isListed(service: Service): boolean {
    if (service.named) return true;
    if (service.datacenter !== null)
      return !service.instances.answered || service.instances.isRegistered;
    return !this.#isCatalogKnown || this.#isInCatalog(service);
  }

  /** Neither the local catalog nor its own last answer has it, and nothing of it is held. */
  #isAway(service: Service): boolean {
    const { datacenter, instances } = service;
    if (datacenter !== null || !instances.answered || instances.isRegistered) return false;
    return this.#isCatalogKnown && !this.#isInCatalog(service);
  }
}
