/**
 * A process's scripts by host, and which of them have an isolate. Isolates are made by the first
 * request that a script may want, never when tables arrive: thousands of hosts cost nothing until
 * they are asked for.
 */
import {
  type Border,
  defaultTenant,
  RecentMap,
  type ScriptCost,
  type ScriptReport,
  type TenantPolicy,
  Tenants,
} from "../../model/index.ts";
import { ProcessorTime, threadProcessorMs } from "../guard/processor-time.ts";
import { WorkerTime } from "../guard/script-time.ts";
import { Supervisor } from "../guard/supervisor.ts";
import { defaultSandboxLimits } from "../limits.ts";
import type { HostScripts, Sandbox, SandboxLimits, ScriptLog, ScriptTables } from "../sandbox.ts";
import { type BaseSnapshot, createBaseSnapshot } from "./base-snapshot.ts";
import { SampleBudget } from "./failures.ts";
import { HostedScript, type ScriptHousing } from "./hosted-script.ts";
import { Journal } from "./journal.ts";
import { ScriptIsolate } from "./script-isolate.ts";
import type { ScriptRuntime } from "./script-runtime.ts";
import { ScriptTable } from "./script-table.ts";
import { TenantSettings } from "./tenant-settings.ts";
import { WaitingLine } from "./waiting-line.ts";

export interface SandboxOptions {
  readonly limits?: SandboxLimits;
  readonly log: ScriptLog;
  /** Which script may use what. Default, or `null`: each may use all. */
  readonly tenants?: TenantPolicy | null;
  /** Log lines of scripts below this level are dropped. Default `trace`: none are. */
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
  /**
   * An isolate is put away when nobody used it for so many milliseconds, or up to half as many more. Default
   * 600,000.
   */
  readonly idleMs?: number;
  /** A file descriptor that takes lines of JSON, `InsideWords` and `LastWords`. Default: none. */
  readonly lastWordsDescriptor?: number;
}

const defaultStallMs = 2_000;
const defaultIdleMs = 600_000;
/** Exchanges that began under an older version of a script may use its isolate for this long. */
const retiredForMs = 30_000;
/** Versions whose cost elsewhere is remembered. */
const maxCosts = 10_000;
const noTables: ScriptTables = { script: new Map(), module: new Map(), setting: new Map() };

export class IsolateSandbox implements Sandbox {
  readonly #limits: Required<SandboxLimits>;
  readonly #now: () => number;
  readonly #supervisor: Supervisor;
  readonly #journal: Journal;
  readonly #workerTime: WorkerTime;
  readonly #line: WaitingLine;
  readonly #housing: ScriptHousing;
  readonly #baseSnapshot: BaseSnapshot = createBaseSnapshot();
  readonly #scripts = new ScriptTable(
    (host, source) => new HostedScript(host, source, this.#housing),
    () => this.sawOther(),
  );
  #modules: ScriptTables["module"] = new Map();
  readonly #tenants: Tenants | null;
  readonly #settings: TenantSettings;
  /** Those of scripts that have an isolate, retired ones included. */
  readonly #open = new Set<ScriptRuntime>();
  readonly #retired: { readonly runtime: ScriptRuntime; readonly untilMs: number }[] = [];
  readonly #costs = new RecentMap<number>(maxCosts);
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
    this.#line = new WaitingLine({ now, isAlone: () => this.#workerTime.loopShare.isAlone });
    this.#housing = {
      line: this.#line,
      journal: this.#journal,
      now,
      callTimeoutMs: this.#limits.callTimeoutMs,
      workerTime: this.#workerTime,
      processorTime: new ProcessorTime(options.processorMs ?? threadProcessorMs),
      costOf: (host, version) => this.#costs.get(`${version} ${host}`),
      borderOf: (host) => this.#borderOf(host),
      settingsWithin: (border) => this.#settings.of(border?.tenant ?? defaultTenant),
      open: (runtime, isPatient) => this.#openIsolate(runtime, isPatient),
      close: (runtime) => this.#open.delete(runtime),
      tick: () => {
        this.#ticks += 1;
        return this.#ticks;
      },
    };
    const idleMs = options.idleMs ?? defaultIdleMs;
    this.#sweeps = setInterval(() => this.#putAwayIdle(), idleMs / 2).unref();
  }

  /** How many isolates there are now. Only tests ask: scripts cannot tell one that was put away from one that failed. */
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
    this.#modules = tables.module;
    for (const script of this.#scripts.swap(tables)) this.#retire(script);
    this.#putAwayRetired();
  }

  learn(costs: readonly ScriptCost[]): void {
    for (const { host, version, usualMs } of costs) {
      this.#costs.set(`${version} ${host}`, usualMs);
      this.#scripts.find(host, version)?.runtime.learn(usualMs);
    }
  }

  get hosts(): ReadonlyMap<string, HostScripts> {
    return this.#scripts.hosts;
  }

  sawOther(): void {
    this.#workerTime.loopShare.sawOther();
  }

  reports(): readonly ScriptReport[] {
    return this.#samples.within(Array.from(this.#scripts.all(), (script) => script.report()));
  }

  dispose(): void {
    clearInterval(this.#sweeps);
    this.#journal.close();
    this.#line.close();
    for (const runtime of this.#open) runtime.putAway();
    this.#open.clear();
    this.#scripts.swap(noTables);
    this.#supervisor.dispose();
  }

  #borderOf(host: string): Border | null {
    const tenants = this.#tenants;
    return tenants === null ? null : { tenants, tenant: tenants.ofSource(`scripts/${host}`) };
  }

  #openIsolate(runtime: ScriptRuntime, isPatient: boolean): ScriptIsolate {
    while (this.#open.size >= this.#limits.maxIsolates) this.#putAwayLeastUsed();
    const { host, source } = runtime;
    const { memoryMb, callTimeoutMs } = this.#limits;
    const modules = this.#modules;
    runtime.imports.clear();
    const isolate = new ScriptIsolate({
      host,
      source,
      modules,
      settings: runtime.settings,
      tenants: this.#tenants,
      baseSnapshot: this.#baseSnapshot,
      memoryMb,
      callTimeoutMs,
      supervisor: this.#supervisor,
      isPatient,
      onImport: (name) => runtime.imports.set(name, modules.get(name) ?? null),
    });
    this.#open.add(runtime);
    return isolate;
  }

  #putAwayLeastUsed(): void {
    let least: ScriptRuntime | null = null;
    let leastUsed = Number.POSITIVE_INFINITY;
    for (const runtime of this.#open) {
      const lastUsed = runtime.isolate?.lastUsed ?? 0;
      if (lastUsed < leastUsed) {
        least = runtime;
        leastUsed = lastUsed;
      }
    }
    if (least === null) return;
    least.putAway();
    this.#open.delete(least);
  }

  /** A host with requests in the morning only gives its megabytes back for the rest of the day. */
  #putAwayIdle(): void {
    const [twiceAgo, onceAgo] = this.#ticksSeen;
    for (const runtime of this.#open) {
      if ((runtime.isolate?.lastUsed ?? 0) > twiceAgo) continue;
      runtime.putAway();
      this.#open.delete(runtime);
    }
    this.#ticksSeen = [onceAgo, this.#ticks];
  }

  #retire(script: HostedScript): void {
    script.retire();
    const { runtime } = script;
    if (runtime.isolate !== null) {
      this.#retired.push({ runtime, untilMs: this.#now() + retiredForMs });
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
      oldest.runtime.putAway();
      this.#open.delete(oldest.runtime);
    }
  }
}
