/**
 * Which script runs for a host, and which version of it: scripts and versions on trial by the site that a host is,
 * then by wildcards. What stays the same when tables are swapped stays the same object.
 */
import type { Exchange } from "../../engine/engine.ts";
import { HostIndex, SiteNames, type Source } from "../../model/index.ts";
import type { ScriptTables } from "../sandbox.ts";
import type { HostedScript } from "./hosted-script.ts";

/** What is kept under one key. */
interface Hosted {
  readonly key: string;
  readonly script: HostedScript | null;
  readonly trial: HostedTrial | null;
}

interface HostedTrial {
  readonly script: HostedScript;
  /** Of 10,000 requests. */
  readonly share: number;
  readonly by: string | null;
  readonly seed: number;
}

export class ScriptTable {
  readonly #create: (host: string, source: Source) => HostedScript;
  #sites = new SiteNames(null);
  #scripts = new Map<string, HostedScript>();
  #trials = new Map<string, HostedTrial>();
  #index = new HostIndex<Hosted>();
  #modules: ScriptTables["module"] = new Map();

  constructor(create: (host: string, source: Source) => HostedScript) {
    this.#create = create;
  }

  /** Swaps to these tables. Returns the scripts that no host has any more. */
  swap(tables: ScriptTables): readonly HostedScript[] {
    this.#modules = tables.module;
    this.#sites = tables.sites ?? this.#sites;
    const scripts = new Map<string, HostedScript>();
    const trials = new Map<string, HostedTrial>();
    for (const [host, source] of tables.script) {
      scripts.set(host, this.#same(host, source) ?? this.#create(host, source));
    }
    for (const [host, { source, share, by }] of tables.trial ?? []) {
      const script = this.#same(host, source) ?? this.#create(host, source);
      trials.set(host, { script, share, by, seed: seedOf(source.version) });
    }
    const gone = [...this.all()].filter((script) => {
      const { host } = script;
      return scripts.get(host) !== script && trials.get(host)?.script !== script;
    });
    this.#scripts = scripts;
    this.#trials = trials;
    this.#index = indexOf(scripts, trials);
    return gone;
  }

  find(host: string): HostedScript | null {
    if (this.#index.size === 0) return null;
    const site = this.#sites.find(host);
    const full = site === null ? host : site.full;
    let hosted = this.#index.find(site === null ? host : site.site, full);
    for (; hosted !== null; hosted = this.#next(full, hosted)) {
      if (hosted.script !== null) return hosted.script;
    }
    return null;
  }

  /** As `find` with the exchange's host, or the version on trial there when the exchange is in its share. */
  findFor(exchange: Exchange<unknown>): HostedScript | null {
    const { host } = exchange;
    if (this.#index.size === 0) return null;
    const site = this.#sites.find(host);
    const full = site === null ? host : site.full;
    let hosted = this.#index.find(site === null ? host : site.site, full);
    for (; hosted !== null; hosted = this.#next(full, hosted)) {
      const { trial, script } = hosted;
      const found = trial !== null && isTried(trial, exchange) ? trial.script : script;
      // Where there is no version before it, the rest of the requests is left to a wildcard's script.
      if (found !== null) return found;
    }
    return null;
  }

  *all(): Generator<HostedScript, void, void> {
    yield* this.#scripts.values();
    for (const { script } of this.#trials.values()) yield script;
  }

  /** What covers the host next to `hosted`. */
  #next(host: string, { key }: Hosted): Hosted | null {
    return this.#index.findWildcard(host, key.startsWith("*.") ? key.length - 1 : host.length);
  }

  /** What runs this source already, with the same modules: it keeps its isolate and its counters. */
  #same(host: string, source: Source): HostedScript | null {
    for (const before of [this.#scripts.get(host), this.#trials.get(host)?.script]) {
      if (before?.version !== source.version || !this.#hasSameImports(before)) continue;
      const wasOut = before.source.outOfService !== undefined;
      if (before.source.isUnexamined !== source.isUnexamined) continue;
      if (wasOut === (source.outOfService !== undefined)) return before;
    }
    return null;
  }

  #hasSameImports(script: HostedScript): boolean {
    for (const [name, version] of script.runtime.imports) {
      if ((this.#modules.get(name)?.version ?? null) !== version) return false;
    }
    return true;
  }
}

function indexOf(
  scripts: ReadonlyMap<string, HostedScript>,
  trials: ReadonlyMap<string, HostedTrial>,
): HostIndex<Hosted> {
  const all = new Map<string, Hosted>();
  for (const [key, script] of scripts) {
    all.set(key, { key, script, trial: trials.get(key) ?? null });
  }
  for (const [key, trial] of trials) if (!all.has(key)) all.set(key, { key, script: null, trial });
  return new HostIndex(all);
}

function isTried({ by, seed, share }: HostedTrial, exchange: Exchange<unknown>): boolean {
  const value = by === null ? undefined : exchange.header(by);
  return isInShare(value ?? exchange.clientAddress, seed, share);
}

/**
 * Who gets a version that is on trial: a hash of a text puts each client into one of so many places, the same on
 * every worker of every gateway. The same client stays in while the share widens.
 */
const places = 10_000;

/** Where the hash begins: each version tries other clients first. `version`: a SHA-256, hexadecimal. */
export function seedOf(version: string): number {
  return Number.parseInt(version.slice(0, 8), 16) >>> 0;
}

/** @param share of 10,000. */
export function isInShare(who: string, seed: number, share: number): boolean {
  return share >= places || placeOf(who, seed) < share;
}

/** FNV-1a over UTF-16 units, then the final mixing of MurmurHash3: addresses differ in their last digits only. */
function placeOf(who: string, seed: number): number {
  let hash = (0x811c9dc5 ^ seed) | 0;
  for (let at = 0; at < who.length; at += 1) {
    hash = Math.imul(hash ^ who.charCodeAt(at), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) % places;
}
