/**
 * A process's scripts by host, and which of them have an isolate. Isolates are made by the first
 * request that a script may want, never when tables arrive: thousands of hosts cost nothing until
 * they are asked for.
 */
import type { ScriptReport } from "../state/index.ts";
import { HostedScript, type ScriptHousing } from "./hosted-script.ts";
import { defaultSandboxLimits } from "./limits.ts";
import type { Sandbox, SandboxLimits, Script, ScriptLog, ScriptTables } from "./sandbox.ts";
import { ScriptIsolate, type Settings } from "./script-isolate.ts";
import { createStallGuard, type StallGuard } from "./stall-guard.ts";

export interface SandboxOptions {
  readonly limits?: SandboxLimits;
  readonly log: ScriptLog;
  /** Monotonic milliseconds. Default `performance.now`. */
  readonly now?: () => number;
  /**
   * A call that V8 cannot interrupt ends the process after this many milliseconds; 0: never.
   * Default 2000.
   */
  readonly stallMs?: number;
}

const defaultStallMs = 2_000;
/** Exchanges that began under an older version of a script may use its isolate for this long. */
const retiredForMs = 30_000;
const emptyTables: ScriptTables = { script: new Map(), module: new Map(), setting: new Map() };

export class IsolateSandbox implements Sandbox {
  readonly #limits: Required<SandboxLimits>;
  readonly #now: () => number;
  readonly #guard: StallGuard;
  readonly #housing: ScriptHousing;
  #tables = emptyTables;
  #scripts = new Map<string, HostedScript>();
  #hasWildcards = false;
  #settings: Settings = { version: 0, json: "{}" };
  /** Scripts that have an isolate, retired ones included. */
  readonly #open = new Set<HostedScript>();
  readonly #retired: { readonly script: HostedScript; readonly untilMs: number }[] = [];
  #ticks = 0;

  constructor(options: SandboxOptions) {
    this.#limits = { ...defaultSandboxLimits, ...options.limits };
    const now = options.now ?? (() => performance.now());
    this.#now = now;
    this.#guard = createStallGuard(options.stallMs ?? defaultStallMs, (message) =>
      options.log("error", "", "", `the guard against stalled scripts has ended: ${message}`),
    );
    this.#housing = {
      log: options.log,
      now,
      settings: () => this.#settings,
      open: (script) => this.#openIsolate(script),
      close: (script) => this.#open.delete(script),
      tick: () => {
        this.#ticks += 1;
        return this.#ticks;
      },
    };
  }

  /** How many isolates there are now. */
  get isolates(): number {
    return this.#open.size;
  }

  apply(tables: ScriptTables): void {
    if (tables.setting !== this.#tables.setting) this.#takeSettings(tables);
    this.#tables = tables;
    const next = new Map<string, HostedScript>();
    this.#hasWildcards = false;
    for (const [host, source] of tables.script) {
      const before = this.#scripts.get(host);
      const isSame = before?.version === source.version && this.#hasSameImports(before);
      next.set(host, isSame ? before : new HostedScript(host, source, this.#housing));
      if (host.startsWith("*.")) this.#hasWildcards = true;
    }
    for (const [host, script] of this.#scripts) {
      if (next.get(host) !== script) this.#retire(script);
    }
    this.#scripts = next;
    this.#putAwayRetired();
  }

  find(host: string): Script | null {
    const own = this.#scripts.get(host);
    if (own !== undefined) return own;
    if (!this.#hasWildcards) return null;
    for (let dot = host.indexOf("."); dot !== -1; dot = host.indexOf(".", dot + 1)) {
      const wildcard = this.#scripts.get(`*${host.slice(dot)}`);
      if (wildcard !== undefined) return wildcard;
    }
    return null;
  }

  reports(): readonly ScriptReport[] {
    return Array.from(this.#scripts.values(), (script) => script.report());
  }

  dispose(): void {
    for (const script of this.#open) script.putAway();
    this.#open.clear();
    this.#scripts.clear();
    this.#guard.dispose();
  }

  #takeSettings(tables: ScriptTables): void {
    const json = JSON.stringify(Object.fromEntries(tables.setting));
    if (json !== this.#settings.json) {
      this.#settings = { version: this.#settings.version + 1, json };
    }
  }

  #hasSameImports(script: HostedScript): boolean {
    for (const [name, version] of script.imports) {
      if ((this.#tables.module.get(name)?.version ?? null) !== version) return false;
    }
    return true;
  }

  #openIsolate(script: HostedScript): ScriptIsolate {
    while (this.#open.size >= this.#limits.maxIsolates) this.#putAwayLeastUsed();
    const { host, source } = script;
    const { memoryMb, callTimeoutMs } = this.#limits;
    const modules = this.#tables.module;
    script.imports.clear();
    const isolate = new ScriptIsolate({
      host,
      source,
      modules,
      settings: this.#settings,
      memoryMb,
      callTimeoutMs,
      stopwatch: this.#guard.stopwatch(`scripts/${host} ${source.version}`),
      now: this.#now,
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
