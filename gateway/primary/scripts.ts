/**
 * The gate between the sources and the state: scripts and modules pass only after they were checked.
 * One that fails is refused and its last good version stays. Everything else passes at once.
 */
import type { Log } from "../observability/logger.ts";
import {
  type CheckScript,
  closureOf,
  type FailedCase,
  imports,
  type ScriptFault,
} from "../sandbox/index.ts";
import type { Change, Json, Source, Tables } from "../state/index.ts";
import type { Clock } from "./clock.ts";
import { forEachAtMost, ScriptSources } from "./script-sources.ts";

export interface ScriptGateOptions {
  readonly check: CheckScript;
  /** Takes what may go live. */
  readonly pass: (changes: readonly Change[]) => void;
  /** What is live at the start. */
  readonly live: Tables;
  readonly clock: Pick<Clock, "now">;
  readonly log: Log;
  /** Of all keys in Consul, `sluice/`: refusals name whole keys. */
  readonly prefix: string;
  /** Checks at once. Default 2. */
  readonly concurrency?: number;
  /** Told of each new refusal; the source is `null` for a module that is gone. */
  readonly onRefused?: (key: string, source: Source | null, reason: string) => void;
  /** Told of a script that Consul has as it was let through before. */
  readonly onKept?: (host: string, source: Source) => void;
  /** Other versions of a host's script that serve or may be gone back to: modules must not break them. */
  readonly alsoLive?: (host: string) => readonly Source[];
}

/** A source that was not let through; times are ISO 8601. */
export interface Refusal {
  /** The whole KV key that was refused, for example `sluice/scripts/<host>`. */
  readonly key: string;
  /** Of the refused source; `null` for a module that was deleted and is still imported. */
  readonly version: string | null;
  /** Lines and columns count from 1; 0 when unknown. */
  readonly line: number;
  readonly column: number;
  readonly message: string;
  /** The case of the script's own tests that failed. */
  readonly test?: FailedCase;
  readonly since: string;
}

/** What came of trying a set of modules together with the scripts that they concern. */
interface Trial {
  readonly scripts: readonly string[];
  readonly modules: readonly string[];
  readonly refused: readonly { readonly key: string; readonly fault: ScriptFault }[];
  /** A live script that these modules would break. */
  readonly broken: ScriptFault | null;
}

export class ScriptGate {
  readonly #check: CheckScript;
  readonly #pass: (changes: readonly Change[]) => void;
  readonly #clock: Pick<Clock, "now">;
  readonly #log: Log;
  readonly #prefix: string;
  readonly #concurrency: number;
  readonly #onRefused: NonNullable<ScriptGateOptions["onRefused"]>;
  readonly #onKept: NonNullable<ScriptGateOptions["onKept"]>;
  readonly #alsoLive: NonNullable<ScriptGateOptions["alsoLive"]>;
  /** What Consul has. */
  readonly #wanted: ScriptSources;
  /** What was let through last. */
  readonly #live: ScriptSources;
  readonly #settings: Map<string, Json>;
  readonly #refusals = new Map<string, Refusal>();
  readonly #loadedAt = new Map<string, number>();
  /** Keys, `scripts/<host>` or `modules/<name>`, that the next round looks at. */
  #dirty = new Set<string>();
  #rounds: Promise<void> | null = null;
  #hasBegun = false;

  constructor(options: ScriptGateOptions) {
    this.#check = options.check;
    this.#pass = options.pass;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#prefix = options.prefix;
    this.#concurrency = options.concurrency ?? 2;
    this.#onRefused = options.onRefused ?? (() => {});
    this.#onKept = options.onKept ?? (() => {});
    this.#alsoLive = options.alsoLive ?? (() => []);
    this.#wanted = new ScriptSources(options.live);
    this.#live = new ScriptSources(options.live);
    this.#settings = new Map(options.live.setting);
    for (const host of this.#live.script.keys()) this.#loadedAt.set(host, this.#clock.now());
  }

  /** Changes from the sources, in their order. Returns at once. */
  offer(changes: readonly Change[]): void {
    const passing: Change[] = [];
    for (const change of changes) {
      if (change.kind === "script") {
        this.#wanted.set("script", change.key, change.value);
        this.#dirty.add(`scripts/${change.key}`);
        // A script that is gone needs no check, and must not run a moment longer.
        if (change.value === null) passing.push(...this.#drop(change.key));
      } else if (change.kind === "module") {
        this.#wanted.set("module", change.key, change.value);
        this.#dirty.add(`modules/${change.key}`);
      } else {
        passing.push(change);
        if (change.kind === "setting") this.#takeSetting(change.key, change.value);
      }
    }
    if (passing.length > 0) this.#pass(passing);
    this.#advance();
  }

  /**
   * Checks begin only now: at a start scripts may arrive before the modules that they import, and would
   * be refused for a moment.
   */
  begin(): void {
    this.#hasBegun = true;
    this.#advance();
  }

  /** Resolves when every source that was offered so far has been let through or refused. Needs `begin`. */
  async settled(): Promise<void> {
    while (this.#rounds !== null) await this.#rounds;
  }

  refused(): readonly Refusal[] {
    return [...this.#refusals.values()];
  }

  /** When the live script of `host` was let through, in milliseconds since the epoch. */
  loadedAt(host: string): number | null {
    return this.#loadedAt.get(host) ?? null;
  }

  #advance(): void {
    if (this.#hasBegun && this.#dirty.size > 0) this.#rounds ??= this.#run();
  }

  #takeSetting(name: string, value: Json | null): void {
    if (value === null) this.#settings.delete(name);
    else this.#settings.set(name, value);
    // A script may have been refused because it reads a setting that was not there.
    for (const key of this.#refusals.keys()) this.#dirty.add(key);
  }

  #drop(host: string): Change[] {
    this.#refusals.delete(`scripts/${host}`);
    // Also when none was let through: an earlier version may serve in the place of a refused one.
    this.#live.set("script", host, null);
    this.#loadedAt.delete(host);
    return [{ kind: "script", key: host, value: null }];
  }

  /** One round after the other, so that a check never overtakes a later one of the same key. */
  async #run(): Promise<void> {
    // Everything that is offered in the same turn belongs to the first round.
    await Promise.resolve();
    while (this.#dirty.size > 0) {
      const dirty = this.#dirty;
      this.#dirty = new Set();
      try {
        await this.#round(dirty);
      } catch (error) {
        this.#log.error({ err: error }, "the check of scripts failed; what was live stays");
      }
    }
    this.#rounds = null;
  }

  async #round(dirty: ReadonlySet<string>): Promise<void> {
    const modules = new Set<string>();
    const scripts = new Set<string>();
    for (const key of dirty) {
      const name = key.slice(key.indexOf("/") + 1);
      if (key.startsWith("modules/")) modules.add(name);
      else scripts.add(name);
    }
    // A script brings along the modules that it imports and that were refused or are new.
    const sources = [...scripts].flatMap((host) => this.#wanted.script.get(host) ?? []);
    for (const name of this.#wanted.modules.closureOf(sources)) modules.add(name);
    // So does a module that was refused, maybe for the lack of one of these.
    for (const name of this.#wanted.modules.concernedBy(modules)) {
      if (this.#refusals.has(`modules/${name}`)) modules.add(name);
    }
    for (const host of this.#importersOf(modules)) scripts.add(host);
    for (const host of scripts) {
      const source = this.#wanted.script.get(host);
      if (source && !this.#isPending("script", host)) this.#onKept(host, source);
    }
    await this.#settle(
      [...modules].filter((name) => this.#isPending("module", name)),
      [...scripts],
    );
    for (const kind of ["script", "module"] as const) {
      for (const name of kind === "script" ? scripts : modules) {
        if (!this.#isPending(kind, name)) this.#refusals.delete(`${kind}s/${name}`);
      }
    }
  }

  #isPending(kind: "script" | "module", name: string): boolean {
    return this.#wanted[kind].get(name)?.version !== this.#live[kind].get(name)?.version;
  }

  /** All modules together; when that breaks a live script, one by one; then scripts without them. */
  async #settle(modules: readonly string[], scripts: readonly string[]): Promise<void> {
    const trial = await this.#try(modules, scripts);
    for (const { key, fault } of trial.refused) this.#refuse(key, fault);
    if (trial.broken === null) {
      this.#accept(trial);
    } else if (modules.length > 1) {
      for (const name of modules) await this.#settle([name], scripts);
    } else {
      const [name = ""] = modules;
      const message = `it would break ${trial.broken.key}: ${trial.broken.message}`;
      this.#refuse(`modules/${name}`, { ...trial.broken, message });
      await this.#settle([], scripts);
    }
  }

  async #try(modules: readonly string[], scripts: readonly string[]): Promise<Trial> {
    const refused: { key: string; fault: ScriptFault }[] = [];
    const candidates = new Map(this.#live.module);
    const sound: string[] = [];
    const wantedModules = new Map(this.#wanted.module);
    const wantedScripts = new Map(this.#wanted.script);
    await forEachAtMost(this.#concurrency, modules, async (name) => {
      const fault = await this.#faultOfModule(name, wantedModules);
      // A module is at fault here for its own text, and for a cycle that it is in; what it imports answers
      // for itself.
      const isAtFault =
        fault !== null && (fault.key === `modules/${name}` || isInCycle(name, wantedModules));
      if (isAtFault) refused.push({ key: `modules/${name}`, fault });
      else sound.push(name);
    });
    for (const name of sound) setOrDelete(candidates, name, wantedModules.get(name));

    const accepted: string[] = [];
    let broken: ScriptFault | null = null;
    const isConcerned = this.#importersOf(new Set(sound));
    await forEachAtMost(this.#concurrency, scripts, async (host) => {
      const wanted = wantedScripts.get(host);
      const live = this.#live.script.get(host);
      const isNew = wanted !== undefined && wanted.version !== live?.version;
      const fault = isNew ? await this.#faultOf(host, wanted, candidates) : null;
      if (isNew && fault === null) accepted.push(host);
      if (isNew && fault !== null) {
        const key = `scripts/${host}`;
        refused.push({ key, fault: this.#withCause(fault, wanted, wantedModules, candidates) });
      }
      // Where the new text does not go live the old one stays, and has to live with the modules.
      if (!isConcerned.has(host)) return;
      const staying = new Map(this.#alsoLive(host).map((source) => [source.version, source]));
      if (live !== undefined && !(isNew && fault === null)) staying.set(live.version, live);
      if (isNew) staying.delete(wanted.version);
      for (const source of staying.values()) {
        const found = await this.#faultOf(host, source, candidates);
        // Its tests were of its own time; what it needs now is to load.
        if (found !== null && (source === live || found.test === undefined)) broken = found;
      }
    });
    return { scripts: accepted, modules: sound, refused, broken };
  }

  /** A module that is there and did not pass its own check is not there for a script. */
  #withCause(
    fault: ScriptFault,
    script: Source,
    wanted: ReadonlyMap<string, Source>,
    passed: ReadonlyMap<string, Source>,
  ): ScriptFault {
    const cause = [...this.#wanted.modules.closureOf([script])].find(
      (name) => wanted.has(name) && !passed.has(name),
    );
    if (cause === undefined) return fault;
    return { ...fault, message: `${fault.message}; modules/${cause} is refused itself` };
  }

  /** The hosts of which any version that serves, or is to serve, imports one of `modules`. */
  #importersOf(modules: ReadonlySet<string>): ReadonlySet<string> {
    if (modules.size === 0) return modules;
    const concerned = this.#wanted.modules.concernedBy(modules);
    const hosts = this.#wanted
      .hostsOf(concerned)
      .union(this.#live.hostsOf(this.#live.modules.concernedBy(modules)));
    for (const host of this.#wanted.script.keys()) {
      if (this.#alsoLive(host).some((source) => imports(source, concerned))) hosts.add(host);
    }
    return hosts;
  }

  /** A module is compiled through the smallest script that imports it. */
  async #faultOfModule(
    name: string,
    modules: ReadonlyMap<string, Source>,
  ): Promise<ScriptFault | null> {
    if (!modules.has(name)) return null;
    const text = `import * as module from ${JSON.stringify(`modules/${name}`)};\nexport default function () { return void module; }\n`;
    const probe = { text, version: `probe of modules/${name}`, modifyIndex: 0 };
    return this.#faultOf(`modules/${name}`, probe, modules);
  }

  async #faultOf(
    host: string,
    source: Source,
    modules: ReadonlyMap<string, Source>,
  ): Promise<ScriptFault | null> {
    const tables = { script: new Map([[host, source]]), module: modules, setting: this.#settings };
    try {
      return await this.#check(host, tables);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return { key: `scripts/${host}`, line: 0, column: 0, message: `not checked: ${reason}` };
    }
  }

  /**
   * Lets through what passed. What was offered anew meanwhile waits for its own round; and where modules
   * were tried, so does all that was tried with them, because it passed only together.
   */
  #accept(trial: Trial): void {
    const modules = trial.modules.map((name) => ({ kind: "module" as const, name }));
    const scripts = trial.scripts.map((name) => ({ kind: "script" as const, name }));
    const isOutdated = ({ kind, name }: { kind: "module" | "script"; name: string }) =>
      this.#dirty.has(`${kind}s/${name}`);
    const passed = [...modules, ...scripts];
    if (modules.length > 0 && passed.some(isOutdated)) {
      for (const { kind, name } of passed) this.#dirty.add(`${kind}s/${name}`);
      return;
    }
    const changes: Change[] = [];
    for (const { kind, name } of passed.filter((entry) => !isOutdated(entry))) {
      if (!this.#isPending(kind, name)) continue;
      const value = this.#wanted[kind].get(name) ?? null;
      this.#live.set(kind, name, value);
      if (this.#refusals.delete(`${kind}s/${name}`)) {
        const key = `${this.#prefix}${kind}s/${name}`;
        this.#log.info({ key, version: value?.version ?? null }, `${key} passes its check now`);
      }
      if (kind === "script") this.#loadedAt.set(name, this.#clock.now());
      changes.push({ kind, key: name, value });
    }
    if (changes.length > 0) this.#pass(changes);
  }

  #refuse(key: string, fault: ScriptFault): void {
    const isScript = key.startsWith("scripts/");
    const name = key.slice(key.indexOf("/") + 1);
    const version = this.#wanted[isScript ? "script" : "module"].get(name)?.version ?? null;
    const where = fault.key === key ? "" : `${fault.key}: `;
    const message = fault.message.startsWith("it would break")
      ? fault.message
      : where + fault.message;
    const known = this.#refusals.get(key);
    if (known?.version === version && known.message === message) return;
    const { line, column } = fault;
    const since = new Date(this.#clock.now()).toISOString();
    const whole = this.#prefix + key;
    const test = fault.test === undefined ? {} : { test: fault.test };
    this.#refusals.set(key, { key: whole, version, line, column, message, ...test, since });
    const sources = this.#wanted[isScript ? "script" : "module"];
    this.#onRefused(key, sources.get(name) ?? null, message);
    this.#log.warn(
      { key: whole, version, line, column, reason: message, ...test },
      `${whole} is refused: ${message}`,
    );
  }
}

/** Whether a module needs itself. */
function isInCycle(name: string, modules: ReadonlyMap<string, Source>): boolean {
  const source = modules.get(name);
  return source !== undefined && closureOf([source], modules).has(name);
}

function setOrDelete<V>(map: Map<string, V>, key: string, value: V | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}
