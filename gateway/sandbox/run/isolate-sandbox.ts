/**
 * A process's scripts by host, and which of them have an isolate. Isolates are made by the first
 * request that a script may want, never when tables arrive: thousands of hosts cost nothing until
 * they are asked for.
 */
import type { Exchange } from "../../engine/engine.ts";
import {
  type Border,
  defaultTenant,
  HostIndex,
  type ScriptReport,
  SiteNames,
  type Source,
  type TenantPolicy,
  Tenants,
} from "../../model/index.ts";
import { ProcessorTime, threadProcessorMs } from "../guard/processor-time.ts";
import { WorkerTime } from "../guard/script-time.ts";
import { Supervisor } from "../guard/supervisor.ts";
import { defaultSandboxLimits } from "../limits.ts";
import type { Sandbox, SandboxLimits, Script, ScriptLog, ScriptTables } from "../sandbox.ts";
import { type Blank, createBlank } from "./base-snapshot.ts";
import { SampleBudget } from "./failures.ts";
import { HostedScript, type ScriptHousing } from "./hosted-script.ts";
import { Journal } from "./journal.ts";
import { ScriptIsolate } from "./script-isolate.ts";
import { isInShare, seedOf } from "./share.ts";
import { TenantSettings } from "./tenant-settings.ts";

export interface SandboxOptions {
  readonly limits?: SandboxLimits;
  readonly log: ScriptLog;
  /** Which script may use what. Default, or `null`: each may use all. */
  readonly tenants?: TenantPolicy | null;
  /** What scripts log below this level is dropped. Default `trace`: nothing. */
  readonly logLevel?: string;
  /** Monotonic milliseconds. Default `performance.now`. */
  readonly now?: () => number;
  /** Milliseconds of processor time that this thread has had. Default: as the system counts them. */
  readonly processorMs?: () => number;
  /**
   * A call that V8 cannot interrupt ends the process after this many milliseconds; 0: never.
   * Default 2000.
   */
  readonly stallMs?: number;
  /** An isolate is put away that nobody used for so many milliseconds, or half as many more. Default 600,000. */
  readonly idleMs?: number;
  /** A file descriptor that takes lines of JSON, `InsideWords` and `LastWords`. Default: none. */
  readonly lastWordsDescriptor?: number;
}

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

const defaultStallMs = 2_000;
const defaultIdleMs = 600_000;
/** Exchanges that began under an older version of a script may use its isolate for this long. */
const retiredForMs = 30_000;
const emptyTables: ScriptTables = { script: new Map(), module: new Map(), setting: new Map() };

export class IsolateSandbox implements Sandbox {
  readonly #limits: Required<SandboxLimits>;
  readonly #now: () => number;
  readonly #supervisor: Supervisor;
  readonly #journal: Journal;
  readonly #workerTime: WorkerTime;
  readonly #housing: ScriptHousing;
  readonly #blank: Blank = createBlank();
  #tables = emptyTables;
  #sites = new SiteNames(null);
  #scripts = new Map<string, HostedScript>();
  #trials = new Map<string, HostedTrial>();
  #index = new HostIndex<Hosted>();
  readonly #tenants: Tenants | null;
  readonly #settings: TenantSettings;
  /** Scripts that have an isolate, retired ones included. */
  readonly #open = new Set<HostedScript>();
  readonly #retired: { readonly script: HostedScript; readonly untilMs: number }[] = [];
  readonly #samples = new SampleBudget();
  #ticks = 0;
  /** What `#ticks` was when idle isolates were looked for, the last time and the time before. */
  #ticksSeen: readonly [number, number] = [0, 0];
  readonly #sweeps: NodeJS.Timeout;

  constructor(options: SandboxOptions) {
    this.#limits = { ...defaultSandboxLimits, ...options.limits };
    const now = options.now ?? (() => performance.now());
    this.#now = now;
    this.#supervisor = new Supervisor({
      limitMs: this.#limits.callTimeoutMs,
      stallMs: options.stallMs ?? defaultStallMs,
      lastWordsDescriptor: options.lastWordsDescriptor ?? null,
      onGuardLost: (message) =>
        options.log(
          "error",
          "",
          "",
          `the guard against stalled scripts has ended and is started anew: ${message}`,
        ),
    });
    this.#journal = new Journal(options.log, options.logLevel ?? "trace");
    this.#workerTime = new WorkerTime(this.#limits.callTimeoutMs);
    this.#tenants = options.tenants ? new Tenants(options.tenants) : null;
    this.#settings = new TenantSettings(this.#tenants);
    this.#housing = {
      journal: this.#journal,
      now,
      callTimeoutMs: this.#limits.callTimeoutMs,
      workerTime: this.#workerTime,
      processorTime: new ProcessorTime(options.processorMs ?? threadProcessorMs),
      borderOf: (host) => this.#borderOf(host),
      settingsWithin: (border) => this.#settings.of(border?.tenant ?? defaultTenant),
      open: (script, isPatient) => this.#openIsolate(script, isPatient),
      close: (script) => this.#open.delete(script),
      tick: () => {
        this.#ticks += 1;
        return this.#ticks;
      },
    };
    const idleMs = options.idleMs ?? defaultIdleMs;
    this.#sweeps = setInterval(() => this.#putAwayIdle(), idleMs / 2).unref();
  }

  /** How many isolates there are now. */
  get isolates(): number {
    return this.#open.size;
  }

  /** Whether calls are judged by processor time already: the thread that counts it takes a while to start. */
  get countsProcessorTime(): boolean {
    return this.#supervisor.countsProcessorTime;
  }

  apply(tables: ScriptTables): void {
    // Not by the first request, which would wait for it.
    if (tables.script.size + (tables.trial?.size ?? 0) > 0) this.#supervisor.start();
    this.#settings.take(tables.setting);
    this.#tables = tables;
    this.#sites = tables.sites ?? this.#sites;
    const scripts = new Map<string, HostedScript>();
    const trials = new Map<string, HostedTrial>();
    for (const [host, source] of tables.script) {
      scripts.set(host, this.#same(host, source) ?? new HostedScript(host, source, this.#housing));
    }
    for (const [host, { source, share, by }] of tables.trial ?? []) {
      const script = this.#same(host, source) ?? new HostedScript(host, source, this.#housing);
      trials.set(host, { script, share, by, seed: seedOf(source.version) });
    }
    for (const script of this.#all()) {
      const { host } = script;
      if (scripts.get(host) !== script && trials.get(host)?.script !== script) this.#retire(script);
    }
    this.#scripts = scripts;
    this.#trials = trials;
    this.#index = indexOf(scripts, trials);
    this.#putAwayRetired();
  }

  find(host: string): Script | null {
    if (this.#index.size === 0) return null;
    const site = this.#sites.find(host);
    const full = site === null ? host : site.full;
    let hosted = this.#index.find(site === null ? host : site.site, full);
    for (; hosted !== null; hosted = this.#next(full, hosted)) {
      if (hosted.script !== null) return hosted.script;
    }
    return null;
  }

  scriptFor(exchange: Exchange<unknown>): Script | null {
    const { host } = exchange;
    if (this.#index.size === 0) return null;
    const site = this.#sites.find(host);
    const full = site === null ? host : site.full;
    let hosted = this.#index.find(site === null ? host : site.site, full);
    for (; hosted !== null; hosted = this.#next(full, hosted)) {
      const { trial, script } = hosted;
      const found = trial !== null && isTried(trial, exchange) ? trial.script : script;
      // Where there is no version before it, the rest of the requests is left to a wildcard's script.
      if (found === null) continue;
      if (!found.isHeavy) this.#workerTime.loopShare.sawOther();
      return found;
    }
    this.#workerTime.loopShare.sawOther();
    return null;
  }

  reports(): readonly ScriptReport[] {
    return this.#samples.within(Array.from(this.#all(), (script) => script.report()));
  }

  dispose(): void {
    clearInterval(this.#sweeps);
    this.#journal.close();
    for (const script of this.#open) script.putAway();
    this.#open.clear();
    this.#scripts.clear();
    this.#trials.clear();
    this.#index = new HostIndex();
    this.#supervisor.dispose();
  }

  #borderOf(host: string): Border | null {
    const tenants = this.#tenants;
    return tenants === null ? null : { tenants, tenant: tenants.ofSource(`scripts/${host}`) };
  }

  /** What covers the host next to `hosted`. */
  #next(host: string, { key }: Hosted): Hosted | null {
    return this.#index.findWildcard(host, key.startsWith("*.") ? key.length - 1 : host.length);
  }

  *#all(): Generator<HostedScript, void, void> {
    yield* this.#scripts.values();
    for (const { script } of this.#trials.values()) yield script;
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
    for (const [name, version] of script.imports) {
      if ((this.#tables.module.get(name)?.version ?? null) !== version) return false;
    }
    return true;
  }

  #openIsolate(script: HostedScript, isPatient: boolean): ScriptIsolate {
    while (this.#open.size >= this.#limits.maxIsolates) this.#putAwayLeastUsed();
    const { host, source } = script;
    const { memoryMb, callTimeoutMs } = this.#limits;
    const modules = this.#tables.module;
    script.imports.clear();
    const isolate = new ScriptIsolate({
      host,
      source,
      modules,
      settings: script.settings,
      tenants: this.#tenants,
      blank: this.#blank,
      memoryMb,
      callTimeoutMs,
      supervisor: this.#supervisor,
      isPatient,
      onImport: (name) => script.imports.set(name, modules.get(name)?.version ?? null),
    });
    this.#open.add(script);
    return isolate;
  }

  #putAwayLeastUsed(): void {
    let least: HostedScript | null = null;
    let leastUsed = Number.POSITIVE_INFINITY;
    for (const script of this.#open) {
      const lastUsed = script.isolate?.lastUsed ?? 0;
      if (lastUsed < leastUsed) {
        least = script;
        leastUsed = lastUsed;
      }
    }
    if (least === null) return;
    least.putAway();
    this.#open.delete(least);
  }

  /** A host that is asked in the morning only gives its megabytes back for the rest of the day. */
  #putAwayIdle(): void {
    const [twiceAgo, onceAgo] = this.#ticksSeen;
    for (const script of this.#open) {
      if ((script.isolate?.lastUsed ?? 0) > twiceAgo) continue;
      script.putAway();
      this.#open.delete(script);
    }
    this.#ticksSeen = [onceAgo, this.#ticks];
  }

  #retire(script: HostedScript): void {
    script.retire();
    if (script.isolate !== null) {
      this.#retired.push({ script, untilMs: this.#now() + retiredForMs });
    }
  }

  /** Also those of long ago whose time is not over, when they alone would fill half of the limit. */
  #putAwayRetired(): void {
    const now = this.#now();
    for (;;) {
      const oldest = this.#retired[0];
      const isCrowded = this.#retired.length * 2 > this.#limits.maxIsolates;
      if (oldest === undefined || (oldest.untilMs > now && !isCrowded)) return;
      this.#retired.shift();
      oldest.script.putAway();
      this.#open.delete(oldest.script);
    }
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
