/**
 * What was accepted and yet does not do what its writer may think: fields without effect, and names of
 * upstreams that nothing has. Looks at what is served; refuses nothing.
 */

import { isAppliedTo, ownDatacenter, type Served, SiteNames, type Tables } from "../model/index.ts";
import type { Log } from "../observability/logger.ts";
import type { Clock } from "./clock.ts";

export interface Warning {
  /** The whole key in Consul, `sluice/upstreams/api`, or the name of a setting as it was given. */
  readonly key: string;
  /** Of a document it begins with the field. */
  readonly warning: string;
  /** ISO 8601. */
  readonly since: string;
}

export interface WarningsOptions {
  /** What is served. */
  readonly tables: () => Tables;
  /** Of all keys in Consul, with a slash at the end. */
  readonly prefix: string;
  /** Those that are not about documents; they hold as long as the gateway runs. */
  readonly settings: readonly Omit<Warning, "since">[];
  /** What was left out before it came to be served. */
  readonly leftOut: () => readonly Omit<Warning, "since">[];
  readonly clock: Pick<Clock, "now" | "after">;
  readonly log: Log;
}

/** Services come and go many times a second; whoever reads warnings does not. */
const delayMs = 1_000;
/** Lines of the log for what one look finds; one upstream that goes may be named by thousands of hosts. */
const mostLines = 50;

export class Warnings {
  readonly #options: WarningsOptions;
  /** By key and text. */
  #known = new Map<string, Warning>();
  #cancel: (() => void) | null = null;

  constructor(options: WarningsOptions) {
    this.#options = options;
  }

  /** The state has changed. */
  changed(changes: readonly Served[]): void {
    if (this.#cancel !== null || !changes.some(({ kind }) => isAppliedTo("sites", kind))) return;
    this.#cancel = this.#options.clock.after(delayMs, () => this.update());
  }

  /** Looks now. Before all that Consul has is there, names would be missed that are about to come. */
  update(): void {
    this.#cancel?.();
    this.#cancel = null;
    const { tables, prefix, settings, leftOut, clock, log } = this.#options;
    const before = this.#known;
    const now = new Map<string, Warning>();
    for (const { key, warning } of [...settings, ...leftOut(), ...findWarnings(tables(), prefix)]) {
      const id = `${key} ${warning}`;
      now.set(id, before.get(id) ?? { key, warning, since: new Date(clock.now()).toISOString() });
    }
    this.#known = now;
    const come = [...now].filter(([id]) => !before.has(id));
    const gone = [...before].filter(([id]) => !now.has(id));
    for (const [, { key, warning }] of come.slice(0, mostLines)) {
      log.warn({ key }, `${key}: ${warning}`);
    }
    if (come.length > mostLines)
      log.warn({}, `${come.length - mostLines} more warnings in /status`);
    for (const [, { key, warning }] of gone.slice(0, mostLines)) {
      log.info({ key }, `${key}: no longer: ${warning}`);
    }
    if (gone.length > mostLines) log.info({}, `${gone.length - mostLines} more warnings are gone`);
  }

  list(): readonly Warning[] {
    // What waits to be looked at is looked at for whoever asks.
    if (this.#cancel !== null) this.update();
    return [...this.#known.values()];
  }

  close(): void {
    this.#cancel?.();
    this.#cancel = null;
  }
}

/** Every warning about the documents in `tables`, each once. */
export function* findWarnings(tables: Tables, prefix: string): Generator<Omit<Warning, "since">> {
  const sites = new SiteNames(ownDatacenter(tables));
  for (const [name, { ignored = [], service }] of tables.upstream) {
    const key = `${prefix}upstreams/${name}`;
    for (const { field, why } of ignored) yield { key, warning: `${field}: ${why}` };
    const missing = service === null ? null : missingService(service, tables, sites);
    if (missing !== null) yield { key, warning: `service: ${missing}` };
  }
  for (const [host, { enable, paths, ignored = [] }] of tables.host) {
    for (const { field, why } of ignored)
      yield { key: `${prefix}hosts/${host}`, warning: `${field}: ${why}` };
    if (!enable) continue;
    const named = new Set<string>();
    for (const { prefix: path, shares } of paths) {
      for (const { upstream } of shares) {
        if (named.has(upstream) || tables.upstream.has(upstream)) continue;
        named.add(upstream);
        const missing = missingService(upstream, tables, sites);
        if (missing === null) continue;
        const warning = `paths[${JSON.stringify(path)}]: there is no upstream document ${JSON.stringify(upstream)}, and ${missing}`;
        yield { key: `${prefix}hosts/${host}`, warning };
      }
    }
  }
}

/** What the catalog lacks for this name; `null`: nothing, or only another datacenter could tell. */
function missingService(name: string, { catalog }: Tables, sites: SiteNames): string | null {
  const query = sites.find(name);
  if (query === null) return "the name is not a service's";
  if (query.datacenter !== null) return null;
  const tags = catalog.get(query.name);
  if (tags === undefined) return `the catalog has no service ${query.name}`;
  const { tag } = query;
  if (tag === null || tags.some((one) => one.toLowerCase() === tag)) return null;
  return `service ${query.name} has no tag ${tag}`;
}
