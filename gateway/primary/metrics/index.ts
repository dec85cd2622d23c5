/**
 * `GET /metrics`: takes what workers report, asks them for the rest when somebody scrapes, and sums it.
 * Simultaneous scrapes share one answer.
 */

import {
  noUpstream,
  otherLabel,
  ownDatacenter,
  SiteNames,
  type Tables,
  type UpstreamLoad,
  type WorkerCounts,
} from "../../model/index.ts";
import { LoopDelay } from "../../observability/loop-delay.ts";
import { readVersion, type Version } from "../../version.ts";
import type { Clock } from "../clock.ts";
import { batches, routedEntries } from "../routed-entries.ts";
import type { Status } from "../status.ts";
import type { Workers } from "../workers.ts";
import { type Exposition, expose, type Family } from "./exposition.ts";
import { familiesOf, watchLabel, workerLabel } from "./families.ts";
import { type RouteTotals, Totals } from "./totals.ts";

export interface MetricsOptions {
  readonly tables: () => Tables;
  readonly status: () => Status;
  readonly clock: Clock;
}

type AskedWorkers = Pick<Workers, "ask" | "restarts" | "scriptCounters">;

/** Upstreams and scripts that have series of their own: those with requests first. */
const maxNames = 1_000;

export class Metrics {
  readonly #options: MetricsOptions;
  readonly #totals: Totals;
  readonly #startedAtMs: number;
  readonly #delay: LoopDelay;
  #processorMicros = 0;
  #version: Version | null = null;
  readonly #watchErrors = new WatchErrors();
  #scrape: Promise<readonly Family[]> | null = null;

  constructor(options: MetricsOptions) {
    this.#options = options;
    this.#startedAtMs = options.clock.now();
    this.#delay = new LoopDelay(() => options.clock.ticks());
    this.#totals = new Totals({
      hostTest: () => this.#hostTest(),
      isUpstream: (name) => this.#isUpstream(name),
    });
  }

  start(): void {
    this.#delay.start();
  }

  stop(): void {
    this.#delay.stop();
  }

  /** What the worker in this place has counted since the last time. */
  take(slot: number, counts: WorkerCounts): void {
    this.#totals.take(workerLabel(slot), counts);
  }

  /** What was counted of requests, by host and upstream. */
  routes(): Iterable<RouteTotals> {
    return this.#totals.routes();
  }

  async scrape(workers: AskedWorkers, isOpen: boolean): Promise<Exposition> {
    this.#scrape ??= this.#gather(workers).finally(() => {
      this.#scrape = null;
    });
    return expose(await this.#scrape, isOpen);
  }

  async #gather(workers: AskedWorkers): Promise<readonly Family[]> {
    const { clock, status } = this.#options;
    const { replies, unanswered } = await workers.ask("report", null);
    const asked = new Set(replies.map(({ worker }) => worker));
    const loads = await this.#loads(workers, asked);
    const now = status();
    const { user, system } = process.cpuUsage();
    const micros = user + system;
    this.#totals.takeProcess("primary", {
      processorSeconds: (micros - this.#processorMicros) / 1e6,
      delays: this.#delay.take(),
    });
    this.#processorMicros = micros;
    this.#version ??= readVersion();
    return familiesOf({
      version: this.#version,
      startedAtMs: this.#startedAtMs,
      nowMs: clock.now(),
      status: now,
      totals: this.#totals,
      restarts: workers.restarts,
      unanswered: unanswered.length,
      loads,
      scripts: new Map([...workers.scriptCounters.hosts()].slice(-maxNames)),
      watchErrors: this.#watchErrors.take(now.watches),
      residentBytes: process.memoryUsage.rss(),
    });
  }

  /** A document stands before the service of its name, as it does for requests. */
  async #loads(workers: AskedWorkers, first: ReadonlySet<number>): Promise<UpstreamLoad[]> {
    const tables = this.#options.tables();
    const names = new SiteNames(ownDatacenter(tables));
    const entries = routedEntries(tables, names).filter(
      ({ kind, key }) => kind === "upstream" || !tables.upstream.has(key),
    );
    const loads = new Map<string, UpstreamLoad>();
    let asked = first;
    for (const keys of batches(entries)) {
      const { replies } = await workers.ask("loads", keys, { workers: asked });
      // One that has not answered once is not waited for again.
      asked = new Set(replies.map(({ worker }) => worker));
      for (const { answer } of replies) for (const load of answer) addLoad(loads, load);
    }
    if (loads.size <= maxNames) return [...loads.values()];
    const used = new Set(Array.from(this.#totals.routes(), ({ upstream }) => upstream));
    return [...loads.values()]
      .sort((a, b) => Number(used.has(b.name)) - Number(used.has(a.name)))
      .slice(0, maxNames);
  }

  #hostTest(): (name: string) => boolean {
    const { host, upstream, script, route, service, catalog, datacenter } = this.#options.tables();
    const byTags = new Set(Array.from(route.values(), (one) => one.host));
    const sites = new SiteNames(ownDatacenter({ datacenter }));
    return (name) => {
      if (host.has(name) || upstream.has(name) || script.has(name) || byTags.has(name)) return true;
      const key = sites.find(name)?.key ?? name;
      return service.has(key) || catalog.has(key);
    };
  }

  #isUpstream(name: string): boolean {
    const { upstream, service } = this.#options.tables();
    if (name === noUpstream || name === otherLabel || upstream.has(name)) return true;
    // A service's upstream is named by its key, behind its tag if it has one.
    return service.has(name) || service.has(name.slice(name.lastIndexOf(".") + 1));
  }
}

/** Errors of watches of one sort; those of a watch that is gone stay. */
class WatchErrors {
  readonly #totals = new Map<string, number>();
  #seen: ReadonlyMap<string, number> = new Map();

  take(watches: Status["watches"]): ReadonlyMap<string, number> {
    const seen = new Map<string, number>();
    for (const { name, errors } of watches) {
      const label = watchLabel(name);
      const before = this.#seen.get(name) ?? 0;
      const added = errors < before ? errors : errors - before;
      this.#totals.set(label, (this.#totals.get(label) ?? 0) + added);
      seen.set(name, errors);
    }
    this.#seen = seen;
    return this.#totals;
  }
}

/** Of several workers, the one that has taken out most counts: it may be the one that knows. */
function addLoad(loads: Map<string, UpstreamLoad>, load: UpstreamLoad): void {
  const known = loads.get(load.name);
  if (known === undefined) {
    loads.set(load.name, load);
    return;
  }
  loads.set(load.name, {
    name: load.name,
    peers: Math.max(known.peers, load.peers),
    down: Math.max(known.down, load.down),
    inFlight: known.inFlight + load.inFlight,
  });
}
