/**
 * Everything that Sluice reads from Consul, as changes of the desired state: the catalog, the folders
 * of keys and the services in use. Makes no versions and knows no worker.
 */

import type { FindForeign } from "../gateway/documents/index.ts";
import {
  type DocumentKind,
  documentKinds,
  type Observed,
  SiteNames,
  type Tables,
} from "../gateway/model/index.ts";
import type { ConsulClient } from "./api/client.ts";
import { Agreements } from "./keys/agreements.ts";
import type { RefusedKey } from "./keys/folder.ts";
import { Folders } from "./keys/folders.ts";
import { readKeys } from "./keys/kv.ts";
import { readMemory, type SourcesMemory } from "./memory.ts";
import { TagRoutes, type TagWarning } from "./routes/tag-routes.ts";
import { readCatalog } from "./services/catalog.ts";
import { Catalogs } from "./services/catalogs.ts";
import { Datacenters } from "./services/datacenters.ts";
import type { ReadMode } from "./services/health.ts";
import { ServicesInUse, type UnusableInstance } from "./services/in-use.ts";
import { defaultGuard, type GuardLimits } from "./services/service-instances.ts";
import { type Clock, systemClock } from "./watching/clock.ts";
import type { Log } from "./watching/log.ts";
import { Pulse } from "./watching/pulse.ts";
import {
  defaultWaitMs,
  type Renewed,
  Watch,
  type WatchOptions,
  type WatchStatus,
} from "./watching/watch.ts";

export interface ConsulSourcesOptions {
  readonly consul: ConsulClient;
  /** Of all keys, with a slash at the end: `sluice/`. */
  readonly prefix: string;
  readonly log: Log;
  /** Gets each answer's changes in one call. Must not throw. */
  readonly emit: (changes: readonly Observed[]) => void;
  /**
   * Services with a blocking query of their own; the rest is polled. Default 100: Consul serves one
   * client address some 200 connections at once (`http_max_conns_per_client`), and another gateway,
   * a registrator and an operator's curl may share the address.
   */
  readonly maxServiceWatches?: number;
  /** Finds what a document names and its tenant may not use; it is refused then. Default: nothing. */
  readonly foreignIn?: FindForeign;
  /** Why a service may not have requests for a host by its tags; `null`: it may. Default: any may. */
  readonly foreignRoute?: (host: string, service: string) => string | null;
  /** The longest that Consul may hold a query back. Default 30000. */
  readonly waitMs?: number;
  /** Default: the machine's. */
  readonly clock?: Clock;
  /** 0 to 1, for jitter. Default `Math.random`. */
  readonly random?: () => number;
  /** The last known good state, from which the first answers continue. */
  readonly previous?: Tables | null;
  /** What `memory` gave together with that state. Anything else counts as nothing. */
  readonly memory?: unknown;
  /** How much one update may take away from a service before Consul is asked again. */
  readonly guard?: GuardLimits;
  /** How catalogs and instances are read; keys are read from the leader. Default `stale`. */
  readonly reads?: ReadMode;
  /** After what time without a request a service leaves the watch; 0: never. Default an hour. */
  readonly forgetServicesMs?: number;
  /** Called when `memory` has changed, even when no change is emitted. */
  readonly onMemory?: () => void;
}

/** What is served although Consul does not show it. */
export interface HeldEntry {
  readonly kind: DocumentKind | "catalog" | "service";
  readonly key: string;
  /** ISO 8601. */
  readonly since: string;
  readonly why: string;
}

export interface ConsulSourcesStatus {
  readonly consul: string;
  /** `null` while every base watch is answered; else since when one is not, and why. */
  readonly stale: { readonly since: string; readonly error: string } | null;
  readonly watches: readonly WatchStatus[];
  readonly refused: readonly RefusedKey[];
  readonly held: readonly HeldEntry[];
  /** Registrations of services in use that no request can be sent to. */
  readonly unusable: readonly UnusableInstance[];
  /** Why Consul may show nothing at all; `null`: it shows something, or something is kept. */
  readonly blind: string | null;
  readonly servicesInUse: number;
  /** Services in use that would have a watch of their own if one were free. */
  readonly polled: number;
}

/**
 * Any change of any registration wakes the query for the catalog, and Consul takes 14 to 18 ms for 69 kB of it
 * (measured on 1.8.7, 2,500 services): at this rate it is a fifteenth of a core however much changes.
 */
const catalogBytesPerSecond = 300_000;

/** An agent on this machine answers within it on any address of loopback. */
const spreadWithinMs = 1_000;

export class ConsulSources {
  readonly #options: ConsulSourcesOptions;
  readonly #clock: Clock;
  readonly #previousMemory: SourcesMemory;
  readonly #folders: Folders;
  readonly #datacenters: Datacenters;
  readonly #catalogs: Catalogs;
  readonly #services: ServicesInUse;
  readonly #tagRoutes: TagRoutes;
  readonly #base: readonly BaseWatch[];
  readonly #pulse: Pulse;
  #sites = new SiteNames(null);
  /** Names of the base watches that have not answered yet. */
  readonly #unanswered = new Set<string>();
  readonly #ready = Promise.withResolvers<void>();

  constructor(options: ConsulSourcesOptions) {
    const { consul, previous = null, clock = systemClock, random = Math.random } = options;
    this.#options = options;
    this.#clock = clock;
    this.#previousMemory = readMemory(options.memory);
    this.#tagRoutes = new TagRoutes({ foreign: options.foreignRoute, previous });
    this.#folders = new Folders({
      prefix: options.prefix,
      clock,
      log: options.log,
      sites: () => this.#sites,
      foreignIn: options.foreignIn,
      previous,
      memory: this.#previousMemory.folders,
    });
    const { waitMs = defaultWaitMs, reads = "stale" } = options;
    const emit = (changes: readonly Observed[]) => this.#emit(changes);
    this.#datacenters = new Datacenters({
      ...{ consul, clock, log: options.log, emit },
      onOwn: (name) => this.#takeOwnDatacenter(name),
      previous: previous?.datacenter,
    });
    this.#catalogs = new Catalogs({
      ...{ consul, clock, random, waitMs, reads, datacenters: this.#datacenters },
      emit: (changes) => this.#takeCatalog(changes),
      previous: previous?.catalog,
      previousDatacenters: previous?.datacenter,
    });
    this.#services = new ServicesInUse({
      ...{ consul, clock, random, waitMs, reads, log: options.log, emit },
      forgetMs: options.forgetServicesMs ?? 3_600_000,
      isAnswering: () => this.#pulse.silence === null,
      maxWatches: options.maxServiceWatches ?? 100,
      catalogOf: (datacenter) => this.#catalogs.of(datacenter),
      guard: options.guard ?? defaultGuard,
      onHeld: () => options.onMemory?.(),
      previous: previous?.service,
      memory: this.#previousMemory.services,
    });
    this.#base = [this.#watchCatalog(), ...documentKinds.map((kind) => this.#watchFolder(kind))];
    this.#pulse = new Pulse({
      clock,
      // What any agent and every token can answer.
      ask: async (isNewConnection, signal) =>
        Boolean((await consul.read({ path: "/status/leader", isNewConnection, signal })).body),
      onDeadConnections: () => {
        options.log.warn(
          {},
          `connections to Consul at ${consul.url} are dead: every watch begins anew`,
        );
        consul.dropIdle();
        this.#renew("all");
      },
      onBack: () => this.#renew("failed"),
      onChange: (silence) => {
        const { log } = options;
        if (silence === null) {
          log.info({}, `Consul at ${consul.url} answers again`);
          void consul.spread(spreadWithinMs);
        } else log.warn({ since: silence.since }, `Consul is silent: ${silence.error}`);
      },
    });
  }

  start(): void {
    this.#emit(this.#tagRoutes.begin());
    void this.#options.consul.spread(spreadWithinMs);
    for (const watch of this.#base) watch.start();
    this.#catalogs.start();
    this.#services.start();
    this.#pulse.start();
  }

  #renew(which: Renewed): void {
    for (const watch of this.#base) watch.renew(which);
    this.#catalogs.renew(which);
    this.#services.renew(which);
  }

  /** Resolves when no query, connection or timer of it is left. It cannot start again. */
  async stop(): Promise<void> {
    this.#datacenters.stop();
    await Promise.all([
      ...this.#base.map((watch) => watch.stop()),
      this.#pulse.stop(),
      this.#catalogs.stop(),
      this.#services.stop(),
    ]);
  }

  /**
   * Resolves when the catalog and every folder were read once, and then each service with a watch
   * that documents name (or its query has failed).
   */
  async whenReady(): Promise<void> {
    await this.#ready.promise;
    await this.#services.settled();
  }

  /**
   * A request asks for this `serviceKey`: it is watched from now on. When there is no such service an
   * empty list is emitted, so that whoever asked need not wait. `@` and a datacenter: its catalog is watched, so
   * that it can be told whether it has a service.
   */
  use(service: string): void {
    if (service.startsWith("@")) this.#catalogs.follow(service.slice(1));
    else this.#services.use(service);
  }

  /** Requests went to these upstreams lately; `null`: to others as well, whose names are not known. */
  sawRequests(upstreams: Iterable<string | null>): void {
    this.#services.sawRequests(upstreams);
  }

  /**
   * Accepts what Consul has now: everything that is held (see `Ledger`) is removed. Returns how many
   * entries that are.
   */
  release(): number {
    const changes = [...this.#folders.release(), ...this.#catalogs.release()];
    this.#emit(changes);
    const released = changes.length + this.#services.release();
    this.#nameServices();
    return released;
  }

  /** For the next process: JSON. */
  memory(): SourcesMemory {
    return { folders: this.#folders.memory(), services: this.#services.memory() };
  }

  /** Warnings about tags and settings that may not do what their writer expects. */
  *warnings(): Generator<TagWarning> {
    yield* this.#tagRoutes.warnings();
    const { consul } = this.#options;
    const { namespace, partition } = consul.unknownScope ?? {};
    const warning = `has no effect: Consul at ${consul.url} is not Consul Enterprise`;
    if (namespace !== undefined) yield { key: "--consul-namespace", warning };
    if (partition !== undefined) yield { key: "--consul-partition", warning };
  }

  status(): ConsulSourcesStatus {
    const base = this.#base.map((watch) => watch.status());
    const catalogHolds = this.#catalogs
      .held()
      .map((hold) => ({ ...hold, kind: "catalog" as const }));
    return {
      consul: this.#options.consul.url,
      stale: findStale(base) ?? this.#pulse.silence,
      watches: [...base, ...this.#catalogs.watches(), ...this.#services.watches()],
      refused: this.#folders.refused(),
      held: [
        ...[...this.#folders.held(), ...catalogHolds].map(({ kind, name, since, why }) => {
          return { kind, key: name, since, why };
        }),
        ...this.#services.held().map(({ key, since, why, instances }) => ({
          kind: "service" as const,
          key,
          since,
          why: `${why} (${instances} of its instances)`,
        })),
      ],
      unusable: this.#services.unusable(),
      blind: this.#blind(),
      servicesInUse: this.#services.count,
      polled: this.#services.polled,
    };
  }

  /** A token that may read nothing gets ordinary answers, with nothing in them. */
  #blind(): string | null {
    if (this.#unanswered.size > 0 || !this.#catalogs.own.isHidden || !this.#folders.isEmpty)
      return null;
    const { consul, prefix } = this.#options;
    const seen = `no service, not even "consul", and no key under ${prefix}`;
    return `Consul at ${consul.url} shows ${seen}: the ACL token may read nothing, or there is none`;
  }

  #watchCatalog(): BaseWatch {
    const { consul, reads = "stale" } = this.#options;
    return this.#watch({
      name: "catalog",
      bytesPerSecond: catalogBytesPerSecond,
      query: (query) => readCatalog(consul, query, null, reads),
      onAnswer: (event) => {
        this.#takeCatalog(this.#catalogs.own.apply(event));
        this.#services.registrationsMoved();
        this.#answered("catalog");
      },
    });
  }

  #takeCatalog(changes: readonly Observed[]): void {
    const { namings } = this.#tagRoutes;
    this.#emit(changes);
    const services = changes.filter(({ kind }) => kind === "catalog");
    this.#services.catalogChanged(services.map(({ key }) => key));
    if (this.#tagRoutes.namings !== namings) this.#nameServices();
  }

  #takeOwnDatacenter(name: string | null): void {
    this.#sites = new SiteNames(name);
    if (name !== null) this.#services.ownDatacenter(name);
  }

  #watchFolder(kind: DocumentKind): BaseWatch {
    const { consul, prefix } = this.#options;
    const agreements = kind === "agreement" ? new Agreements(consul, prefix, this.#clock) : null;
    const name = this.#folders.prefixOf(kind);
    return this.#watch({
      name,
      query: (query) => agreements?.read(query) ?? readKeys(consul, name, query),
      onAnswer: (event) => {
        this.#emit(this.#folders.apply(kind, event));
        this.#options.onMemory?.();
        this.#answered(name);
        if (kind === "upstream" || kind === "host") this.#nameServices();
      },
    });
  }

  #watch<T>(
    options: Pick<WatchOptions<T>, "name" | "query" | "onAnswer" | "bytesPerSecond">,
  ): BaseWatch {
    const { random = Math.random, waitMs = defaultWaitMs, log } = this.#options;
    this.#unanswered.add(options.name);
    return new Watch({
      ...options,
      // Which keys are about the same site depends on the own datacenter.
      query: async (query) => {
        await this.#datacenters.learn();
        return options.query(query);
      },
      clock: this.#clock,
      random,
      waitMs,
      onStateChange: ({ name, state, lastError }) => {
        if (state === "failing") log.warn({ watch: name }, `${lastError}; the last state stays`);
        else log.info({ watch: name }, `Consul answers for ${name}`);
      },
    });
  }

  #emit(changes: readonly Observed[]): void {
    if (changes.length === 0) return;
    const routes = this.#tagRoutes.apply(changes);
    this.#options.emit(routes.length === 0 ? changes : [...changes, ...routes]);
  }

  #answered(name: string): void {
    this.#unanswered.delete(name);
    if (this.#unanswered.size > 0) return;
    this.#nameServices();
    this.#ready.resolve();
  }

  /** Which services the documents name; both folders must be known, as a name may be an upstream's. */
  #nameServices(): void {
    if (this.#unanswered.has(this.#folders.prefixOf("upstream"))) return;
    if (this.#unanswered.has(this.#folders.prefixOf("host"))) return;
    this.#services.name(new Set([...this.#folders.services(), ...this.#tagRoutes.services()]));
  }
}

/** A watch whatever it reads. */
type BaseWatch = Pick<Watch<unknown>, "start" | "stop" | "status" | "renew">;

function findStale(base: readonly WatchStatus[]): ConsulSourcesStatus["stale"] {
  const failing = base
    .filter((watch) => watch.state === "failing")
    .sort((a, b) => (a.since < b.since ? -1 : 1));
  const [first] = failing;
  return first === undefined ? null : { since: first.since, error: first.lastError ?? "" };
}
