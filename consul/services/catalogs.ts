/**
 * The catalogs of the own datacenter, and of each other one from the first request for a service there on. With
 * them the gateway looks up names without asking Consul, so a stranger who asks for many names costs Consul
 * nothing.
 */
import type { Datacenter, Observed } from "../../gateway/model/index.ts";
import type { ConsulClient } from "../api/client.ts";
import type { Clock } from "../watching/clock.ts";
import type { Hold } from "../watching/ledger.ts";
import { type Renewed, Watch, type WatchEvent, type WatchStatus } from "../watching/watch.ts";
import { Catalog, type CatalogNames, readCatalog } from "./catalog.ts";
import type { Datacenters } from "./datacenters.ts";
import type { ReadMode } from "./health.ts";
import { splitServiceKey } from "./service-key.ts";

export interface CatalogsOptions {
  readonly consul: ConsulClient;
  readonly clock: Clock;
  readonly random: () => number;
  readonly waitMs: number;
  readonly datacenters: Datacenters;
  readonly reads: ReadMode;
  readonly emit: (changes: readonly Observed[]) => void;
  /** The `catalog` entries of the last known good state, and whose they are. */
  readonly previous?: CatalogNames | undefined;
  readonly previousDatacenters?: ReadonlyMap<string, Datacenter> | undefined;
}

interface Followed {
  readonly catalog: Catalog;
  readonly watch: Watch<CatalogNames>;
}

export class Catalogs {
  readonly own: Catalog;
  readonly #options: CatalogsOptions;
  readonly #others = new Map<string, Followed>();

  constructor(options: CatalogsOptions) {
    this.#options = options;
    this.own = new Catalog(options.clock, null, this.#previousOf(null));
  }

  /** Takes up again what was followed before. */
  start(): void {
    for (const [name, { own, catalog }] of this.#options.previousDatacenters ?? []) {
      if (!own && catalog) this.#follow(name);
    }
  }

  /** Makes every query anew on another connection. */
  renew(which: Renewed): void {
    for (const { watch } of this.#others.values()) watch.renew(which);
  }

  async stop(): Promise<void> {
    await Promise.all(Array.from(this.#others.values(), ({ watch }) => watch.stop()));
  }

  /** A request asks for a service there. Does nothing for a datacenter that Consul does not know. */
  follow(datacenter: string): void {
    if (this.#options.datacenters.isOther(datacenter)) this.#follow(datacenter);
  }

  /** The catalog of a datacenter, `null` being the own one; `null` when it is not followed. */
  of(datacenter: string | null): Catalog | null {
    if (datacenter === null) return this.own;
    return this.#others.get(datacenter)?.catalog ?? null;
  }

  watches(): readonly WatchStatus[] {
    return Array.from(this.#others.values(), ({ watch }) => watch.status());
  }

  held(): readonly Hold[] {
    return [this.own, ...this.#catalogs()].flatMap((catalog) => catalog.held());
  }

  release(): Observed[] {
    return [this.own, ...this.#catalogs()].flatMap((catalog) => catalog.release());
  }

  *#catalogs(): Generator<Catalog> {
    for (const { catalog } of this.#others.values()) yield catalog;
  }

  #follow(datacenter: string): void {
    if (this.#others.has(datacenter)) return;
    const { consul, clock, random, waitMs, reads } = this.#options;
    const catalog = new Catalog(clock, datacenter, this.#previousOf(datacenter));
    const watch = new Watch<CatalogNames>({
      name: `catalog of ${datacenter}`,
      clock,
      random,
      waitMs,
      query: (query) => readCatalog(consul, query, datacenter, reads),
      onAnswer: (event) => this.#take(datacenter, catalog, event),
    });
    this.#others.set(datacenter, { catalog, watch });
    watch.start();
  }

  #take(datacenter: string, catalog: Catalog, event: WatchEvent<CatalogNames>): void {
    const changes = catalog.apply(event);
    // After the services, so that whoever waits for the catalog finds them.
    changes.push(...this.#options.datacenters.withCatalog(datacenter));
    if (changes.length > 0) this.#options.emit(changes);
  }

  #previousOf(datacenter: string | null): CatalogNames {
    const names = new Map<string, readonly string[]>();
    for (const [key, tags] of this.#options.previous ?? []) {
      const id = splitServiceKey(key);
      // The own catalog has names that no host can spell; they are kept as they are.
      if (id === null ? datacenter === null : id.datacenter === datacenter)
        names.set(id?.name ?? key, tags);
    }
    return names;
  }
}
