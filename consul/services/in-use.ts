/**
 * The services in use: those that requests asked for and those that documents name. Decides which are
 * to be kept up to date, and when one is no longer in use; `ServiceQueries` decides by which queries.
 */
import type { Instance, Observed } from "../../gateway/model/index.ts";
import type { ConsulClient } from "../api/client.ts";
import type { Clock } from "../watching/clock.ts";
import type { LedgerMemory } from "../watching/ledger.ts";
import type { Log } from "../watching/log.ts";
import type { Renewed, WatchStatus } from "../watching/watch.ts";
import { Confirmations } from "./confirmations.ts";
import type { ReadMode } from "./health.ts";
import { Service } from "./service.ts";
import type { GuardLimits } from "./service-instances.ts";
import { type ServiceId, splitServiceKey } from "./service-key.ts";
import { ServiceQueries } from "./service-queries.ts";
import { SparingLog } from "./sparing-log.ts";
import { UnknownServices } from "./unknown-services.ts";

export interface ServicesInUseOptions {
  readonly consul: ConsulClient;
  readonly clock: Clock;
  readonly random: () => number;
  readonly waitMs: number;
  readonly log: Log;
  /** Blocking queries for services: one each, or with more services than that one for each node. */
  readonly maxWatches: number;
  readonly emit: (changes: readonly Observed[]) => void;
  /** The catalog of a datacenter, `null` being the own one; `null` when it is not followed. */
  readonly catalogOf: (
    datacenter: string | null,
  ) => { readonly known: boolean; has(name: string): boolean } | null;
  readonly guard: GuardLimits;
  /** How blocking queries are answered. */
  readonly reads: ReadMode;
  /**
   * A service that no document names is no longer in use when nobody has asked for it for so long; 0: it stays.
   */
  readonly forgetMs: number;
  /** Consul answers, as far as is known: while it does not, nothing is forgotten. */
  readonly isAnswering: () => boolean;
  /** Some instance is held, which `emit` may not show. */
  readonly onHeld: () => void;
  readonly previous?: ReadonlyMap<string, readonly Instance[]> | undefined;
  /** What the previous process knew about them besides, by key. */
  readonly memory?: Readonly<Record<string, LedgerMemory>> | undefined;
}

export interface HeldService {
  readonly key: string;
  /** ISO 8601. */
  readonly since: string;
  readonly why: string;
  /** How many of its instances are held. */
  readonly instances: number;
}

/** A registration of a service in use that no request can be sent to. */
export interface UnusableInstance {
  readonly service: string;
  /** `<node>/<service id>`. */
  readonly id: string;
  readonly why: string;
}

/** A service that no document names stays in use this long after it left the catalog. */
const lingerMs = 10 * 60_000;
const sweepMs = 1_000;
const maxPending = 1_000;

export class ServicesInUse {
  readonly #options: ServicesInUseOptions;
  readonly #inUse = new Map<string, Service>();
  readonly #queries: ServiceQueries;
  readonly #unknown: UnknownServices;
  /** Asked for before the catalog was known. */
  readonly #pending = new Set<string>();
  #cancelSweep: (() => void) | null = null;
  readonly #confirmations: Confirmations;
  readonly #guardLog: SparingLog;
  /** Services that keep instances until that read. */
  readonly #guarded = new Set<string>();

  constructor(options: ServicesInUseOptions) {
    this.#options = options;
    this.#unknown = new UnknownServices(options.clock);
    this.#confirmations = new Confirmations(options);
    this.#guardLog = new SparingLog(options);
    this.#queries = new ServiceQueries({ ...options, find: (key) => this.#inUse.get(key) });
  }

  start(): void {
    const { previous, emit } = this.#options;
    const leftOver: Observed[] = [];
    for (const [key, instances] of previous ?? []) {
      const query = splitServiceKey(key);
      // Services that were in use before are in use again: their instances serve already.
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
    await Promise.all([this.#queries.stop(), this.#confirmations.stop()]);
  }

  renew(which: Renewed): void {
    for (const service of this.#inUse.values()) service.renew(which);
    this.#queries.renew(which);
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
      service.usedAt = this.#options.clock.now();
      return;
    }
    if (query.datacenter === null && !this.#isCatalogKnown) {
      if (this.#pending.size < maxPending) this.#pending.add(key);
    } else if (this.#isInCatalog(query)) this.#open(key, query).asked = true;
    else this.#options.emit(this.#unknown.add(key));
  }

  /**
   * Requests went to these upstreams lately, by their names: a service's is its key, behind its tag if it has one.
   * `null`: to some of which the names are not known.
   */
  sawRequests(upstreams: Iterable<string | null>): void {
    const now = this.#options.clock.now();
    for (const name of upstreams) {
      if (name === null) {
        for (const service of this.#inUse.values()) service.usedAt = now;
        continue;
      }
      const service =
        this.#inUse.get(name) ?? this.#inUse.get(name.slice(name.lastIndexOf(".") + 1));
      if (service !== undefined) service.usedAt = now;
    }
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
      this.#queries.urge(service);
    }
    const waiting = [...this.#pending, ...this.#unknown.keys()];
    this.#pending.clear();
    for (const key of waiting) {
      const query = splitServiceKey(key);
      if (!this.#unknown.has(key) || (query !== null && this.#isInCatalog(query))) this.use(key);
    }
  }

  /** Some registration of the own datacenter has changed, whatever the catalog shows of it. */
  registrationsMoved(): void {
    this.#queries.registrationsMoved();
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
    return this.#queries.polled;
  }

  watches(): readonly WatchStatus[] {
    const own = [...this.#inUse.values()].flatMap((service) => service.watchStatus() ?? []);
    return [...this.#queries.watches(), ...own];
  }

  held(): readonly HeldService[] {
    return [...this.#inUse.values()].flatMap(({ key, instances }) => {
      const holds = instances.held();
      const [first] = holds;
      const held = first && { ...first, instances: holds.length };
      return [instances.guarded ?? [], held ?? []]
        .flat()
        .map(({ since, why, instances: count }) => ({ key, since, why, instances: count }));
    });
  }

  /** Registrations that can never serve as they are, and why. */
  unusable(): readonly UnusableInstance[] {
    return [...this.#inUse.values()].flatMap(({ key, instances }) =>
      Array.from(instances.faults, ([id, why]) => ({ service: key, id, why })),
    );
  }

  /** What is known of the instances beside what is served, for the next process. */
  memory(): Readonly<Record<string, LedgerMemory>> {
    const memory: Record<string, LedgerMemory> = {};
    for (const { key, instances } of this.#inUse.values())
      if (instances.answered) memory[key] = instances.memory();
    return memory;
  }

  /** Ends the holds; returns how many services had any. */
  release(): number {
    let released = 0;
    for (const service of this.#inUse.values()) {
      if (service.instances.release() === 0) continue;
      released += 1;
      this.#unguard(service.key);
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
    const { consul, clock, random, guard, reads, previous, memory } = this.#options;
    const service = new Service({
      key,
      name,
      datacenter,
      consul,
      clock,
      random,
      waitMs: () => this.#queries.waitMs,
      guard,
      reads,
      previous: previous?.get(key),
      memory: memory?.[key],
      onInstances: (one) => this.#onInstances(one),
      onRefused: (one) => this.#queries.refused(one),
    });
    this.#unknown.delete(key);
    this.#inUse.set(key, service);
    return service;
  }

  /** Keeps it up to date, unless the catalog's own watch is enough to know when there is news. */
  #follow(service: Service): void {
    if (this.#isAway(service)) this.#queries.leave(service);
    else this.#queries.follow(service);
  }

  #onInstances(service: Service): void {
    if (this.#inUse.get(service.key) !== service) return;
    this.#follow(service);
    this.#emitInstances(service);
    if (service.instances.held().length > 0) this.#options.onHeld();
    const { guarded } = service.instances;
    if (guarded === null) this.#unguard(service.key);
    else if (!this.#guarded.has(service.key)) {
      this.#guarded.add(service.key);
      const { why, since } = guarded;
      this.#guardLog.warn(
        { service: service.key, since },
        `${service.key} keeps its instances until it is confirmed that they are gone: ${why}`,
      );
    }
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
    this.#unguard(service.key);
    this.#queries.leave(service);
    service.close();
  }

  #unguard(key: string): void {
    this.#guarded.delete(key);
    this.#confirmations.forget(key);
  }

  #scheduleSweep(): void {
    this.#cancelSweep = this.#options.clock.after(sweepMs, () => {
      this.#sweep();
      this.#scheduleSweep();
    });
  }

  /** What time alone brings about: holds end, and unused services are dropped. */
  #sweep(): void {
    const now = this.#options.clock.now();
    for (const service of this.#inUse.values()) {
      if (service.instances.settle()) this.#emitInstances(service);
      if (service.instances.wantsConfirmation) this.#confirmations.want(service);
      if (this.#isListed(service)) service.unlistedSince = null;
      else {
        service.unlistedSince ??= now;
        if (now - service.unlistedSince >= lingerMs) this.#close(service);
      }
      if (this.#isForgotten(service, now)) this.#close(service);
      // Also when an operator has ended holds.
      if (this.#inUse.has(service.key)) this.#follow(service);
    }
    this.#queries.share(now);
    const changes = this.#unknown.expire();
    if (changes.length > 0) this.#options.emit(changes);
  }

  /** Whether nobody has asked for it for long, and Consul will show again everything that is known about it. */
  #isForgotten({ named, usedAt, error, instances }: Service, now: number): boolean {
    const { forgetMs, isAnswering } = this.#options;
    if (named || forgetMs === 0 || now - usedAt < forgetMs) return false;
    return error === null && isAnswering() && instances.held().length === 0 && !instances.guarded;
  }

  get #isCatalogKnown(): boolean {
    return this.#options.catalogOf(null)?.known ?? false;
  }

  #isInCatalog({ name, datacenter }: ServiceId): boolean {
    return this.#options.catalogOf(datacenter)?.has(name) ?? false;
  }

  /** Whether anything but an earlier request keeps it in use; true as long as that is not known. */
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
