/**
 * The scripts of each host, and which version of them runs on a request. Which hosts a `*.domain` covers is not known
 * here. What stays the same when tables are swapped stays the same object.
 */
import type { Exchange } from "../../engine/engine.ts";
import type { Source } from "../../model/index.ts";
import type { HostScripts, ScriptTables } from "../sandbox.ts";
import type { HostedScript } from "./hosted-script.ts";

interface HostedTrial {
  readonly script: HostedScript;
  /** Of 10,000 requests. */
  readonly share: number;
  readonly by: string | null;
  readonly seed: number;
}

/** What is kept under one key. */
class HostedScripts implements HostScripts {
  readonly host: string;
  readonly script: HostedScript | null;
  readonly trial: HostedTrial | null;
  readonly #onLight: () => void;

  constructor(
    host: string,
    script: HostedScript | null,
    trial: HostedTrial | null,
    onLight: () => void,
  ) {
    this.host = host;
    this.script = script;
    this.trial = trial;
    this.#onLight = onLight;
  }

  get isForAll(): boolean {
    return this.script !== null;
  }

  choose(exchange: Exchange<unknown>): HostedScript | null {
    const { trial } = this;
    const found = trial !== null && isTried(trial, exchange) ? trial.script : this.script;
    if (found === null || !found.isHeavy) this.#onLight();
    return found;
  }
}

export class ScriptTable {
  readonly #create: (host: string, source: Source) => HostedScript;
  readonly #onLight: () => void;
  #hosts: ReadonlyMap<string, HostedScripts> = new Map();
  #modules: ScriptTables["module"] = new Map();

  /** @param onLight told of each request that gets no script, or one whose calls are quick. */
  constructor(create: (host: string, source: Source) => HostedScript, onLight: () => void) {
    this.#create = create;
    this.#onLight = onLight;
  }

  /** By host or `*.domain`. */
  get hosts(): ReadonlyMap<string, HostScripts> {
    return this.#hosts;
  }

  /** Swaps to these tables. Returns the scripts that no host has any more. */
  swap(tables: ScriptTables): readonly HostedScript[] {
    this.#modules = tables.module;
    const { script, trial = new Map() } = tables;
    const hosts = new Map<string, HostedScripts>();
    for (const host of new Set([...script.keys(), ...trial.keys()]))
      hosts.set(host, this.#make(host, tables));
    const gone = [...this.all()].filter((one) => {
      const now = hosts.get(one.host);
      return now?.script !== one && now?.trial?.script !== one;
    });
    this.#hosts = hosts;
    return gone;
  }

  find(host: string, version: string): HostedScript | null {
    const hosted = this.#hosts.get(host);
    for (const script of [hosted?.script, hosted?.trial?.script])
      if (script?.version === version) return script;
    return null;
  }

  *all(): Generator<HostedScript, void, void> {
    for (const { script } of this.#hosts.values()) if (script !== null) yield script;
    for (const { trial } of this.#hosts.values()) if (trial !== null) yield trial.script;
  }

  /** The same object as before where both versions are the same. */
  #make(host: string, tables: ScriptTables): HostedScripts {
    const before = this.#hosts.get(host);
    const live = tables.script.get(host);
    const tried = tables.trial?.get(host);
    const running = (source: Source) => this.#same(host, source) ?? this.#create(host, source);
    const script = live === undefined ? null : running(live);
    const trial =
      tried === undefined
        ? null
        : {
            script: running(tried.source),
            share: tried.share,
            by: tried.by,
            seed: seedOf(tried.source.version),
          };
    const isSame = before !== undefined && before.script === script && isSameTrial(before, trial);
    return isSame ? before : new HostedScripts(host, script, trial, this.#onLight);
  }

  /**
   * The script that runs this source with the same modules already, so that it keeps its isolate and its
   * counters.
   */
  #same(host: string, source: Source): HostedScript | null {
    const hosted = this.#hosts.get(host);
    for (const before of [hosted?.script, hosted?.trial?.script]) {
      if (before?.version !== source.version || !this.#hasSameImports(before)) continue;
      if (before.source.checks !== source.checks) continue;
      const wasOut = before.source.outOfService !== undefined;
      if (before.source.isUnexamined !== source.isUnexamined) continue;
      if (wasOut === (source.outOfService !== undefined)) return before;
    }
    return null;
  }

  #hasSameImports(script: HostedScript): boolean {
    for (const [name, source] of script.runtime.imports) {
      const now = this.#modules.get(name);
      if (now?.version !== source?.version || now?.checks !== source?.checks) return false;
    }
    return true;
  }
}

function isSameTrial({ trial: before }: HostedScripts, trial: HostedTrial | null): boolean {
  if (before === null || trial === null) return before === trial;
  return before.script === trial.script && before.share === trial.share && before.by === trial.by;
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
