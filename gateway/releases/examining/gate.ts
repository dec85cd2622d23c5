/**
 * The gate between the sources and the state: scripts and modules pass only after they were checked.
 * One that fails is refused and its last good version stays. Everything else passes at once.
 */

import type { Candidate, Json, Source, Tables } from "../../model/index.ts";
import type { Log } from "../../observability/logger.ts";
import type { Clock } from "../../primary/clock.ts";
import {
  type CheckScript,
  describeFault,
  type FailedCase,
  imports,
  needsItself,
  type ScriptFault,
} from "../../sandbox/index.ts";
import { type Group, isPending, keysOf, partsOf, ScriptGroups } from "./groups.ts";
import { ScriptTexts } from "./script-texts.ts";

export interface ScriptGateOptions {
  readonly check: CheckScript;
  /** Takes what may go live. */
  readonly pass: (changes: readonly Candidate[]) => void;
  /** What is live at the start. */
  readonly live: Tables;
  readonly clock: Pick<Clock, "now">;
  readonly log: Log;
  /** Of all keys in Consul, `sluice/`: refusals name whole keys. */
  readonly prefix: string;
  /** Told of each new refusal; the source is `null` for a module that is gone. */
  readonly onRefused?: (key: string, source: Source | null, reason: string) => void;
  /** Told of a script that Consul has as it was let through before. */
  readonly onKept?: (host: string, source: Source) => void;
  /** Told when a host's source has been looked at, whatever came of it. */
  readonly onExamined?: (host: string) => void;
  /** Whether this version served before: those are examined first. */
  readonly hasServed?: (host: string, version: string) => boolean;
  /** Other versions of a host's script that serve or may be gone back to: modules must not break them. */
  readonly alsoLive?: (host: string) => readonly Source[];
}

/** A source that was not let through; times are ISO 8601. */
export interface Refusal {
  /** The whole KV key that was refused, for example `sluice/scripts/<host>`. */
  readonly key: string;
  /** Of the refused source; `null` for a module that was deleted and is still imported. */
  readonly version: string | null;
  /** Lines and columns count from 1; 0 when unknown, or when the message names another key and its place. */
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
  readonly #pass: (changes: readonly Candidate[]) => void;
  readonly #clock: Pick<Clock, "now">;
  readonly #log: Log;
  readonly #prefix: string;
  readonly #onRefused: NonNullable<ScriptGateOptions["onRefused"]>;
  readonly #onKept: NonNullable<ScriptGateOptions["onKept"]>;
  readonly #onExamined: NonNullable<ScriptGateOptions["onExamined"]>;
  readonly #hasServed: NonNullable<ScriptGateOptions["hasServed"]>;
  readonly #alsoLive: NonNullable<ScriptGateOptions["alsoLive"]>;
  /** What Consul has. */
  readonly #wanted: ScriptTexts;
  /** What was let through last. */
  readonly #live: ScriptTexts;
  /** Replaced when one changes, so that it says by itself what it is. */
  #settings: ReadonlyMap<string, Json>;
  readonly #refusals = new Map<string, Refusal>();
  readonly #loadedAt = new Map<string, number>();
  /** Keys, `scripts/<host>` or `modules/<name>`, that are to be looked at. */
  readonly #dirty = new Set<string>();
  /** Keys that are being looked at. What is offered meanwhile waits, so that no check overtakes a later one. */
  readonly #busy = new Set<string>();
  #isPlanned = false;
  #idle: PromiseWithResolvers<void> | null = null;
  #hasBegun = false;

  constructor(options: ScriptGateOptions) {
    this.#check = options.check;
    this.#pass = options.pass;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#prefix = options.prefix;
    this.#onRefused = options.onRefused ?? (() => {});
    this.#onKept = options.onKept ?? (() => {});
    this.#onExamined = options.onExamined ?? (() => {});
    this.#hasServed = options.hasServed ?? (() => false);
    this.#alsoLive = options.alsoLive ?? (() => []);
    this.#wanted = new ScriptTexts(options.live);
    this.#live = new ScriptTexts(options.live);
    this.#settings = new Map(options.live.setting);
    for (const host of this.#live.script.keys()) this.#loadedAt.set(host, this.#clock.now());
  }

  /** Changes from the sources, in their order. Returns at once. */
  offer(changes: readonly Candidate[]): void {
    const passing: Candidate[] = [];
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
    if (!this.#isPlanned && this.#busy.size === 0) return;
    this.#idle ??= Promise.withResolvers<void>();
    await this.#idle.promise;
  }

  /** What Consul has. */
  get wanted(): ReadonlyMap<string, Source> {
    return this.#wanted.script;
  }

  /** Whether the source that Consul has for a host has yet to be looked at. */
  isUnexamined(host: string): boolean {
    const key = `scripts/${host}`;
    return this.#dirty.has(key) || this.#busy.has(key);
  }

  refused(): readonly Refusal[] {
    return [...this.#refusals.values()];
  }

  /** When the live script of `host` was let through, in milliseconds since the epoch. */
  loadedAt(host: string): number | null {
    return this.#loadedAt.get(host) ?? null;
  }

  #advance(): void {
    if (!this.#hasBegun || this.#isPlanned || this.#dirty.size === 0) return;
    this.#isPlanned = true;
    // Everything that is offered in the same turn is looked at together.
    queueMicrotask(() => {
      this.#isPlanned = false;
      this.#plan();
    });
  }

  #takeSetting(name: string, value: Json | null): void {
    const settings = new Map(this.#settings);
    if (value === null) settings.delete(name);
    else settings.set(name, value);
    this.#settings = settings;
    // A script may have been refused because it reads a setting that was not there.
    for (const key of this.#refusals.keys()) this.#dirty.add(key);
  }

  #drop(host: string): Candidate[] {
    this.#refusals.delete(`scripts/${host}`);
    // Also when none was let through: an earlier version may serve in the place of a refused one.
    this.#live.set("script", host, null);
    this.#loadedAt.delete(host);
    return [{ kind: "script", key: host, value: null }];
  }

  /** Begins with all that waits for nothing: what belongs together at once, the rest side by side. */
  #plan(): void {
    const groups = new ScriptGroups({
      wanted: this.#wanted,
      live: this.#live,
      importersOf: (modules) => this.#importersOf(modules),
    });
    for (const key of this.#inOrder()) {
      if (!this.#dirty.has(key)) continue;
      const group = groups.of(key);
      const keys = keysOf(group);
      if (keys.some((one) => this.#busy.has(one))) continue;
      for (const one of keys) {
        this.#dirty.delete(one);
        this.#busy.add(one);
      }
      void this.#look(group);
    }
    this.#rest();
  }

  /** Those first that served before: what worked is there again before what is new. */
  #inOrder(): readonly string[] {
    const served: string[] = [];
    const others: string[] = [];
    for (const key of this.#dirty) {
      const { isScript, name } = partsOf(key);
      const version = isScript ? this.#wanted.script.get(name)?.version : undefined;
      const isKnown = version !== undefined && this.#hasServed(name, version);
      (isKnown || !isScript ? served : others).push(key);
    }
    return [...served, ...others];
  }

  /** Looks at a group: at its modules with what they must not break, then at each other script by itself. */
  async #look(group: Group): Promise<void> {
    for (const host of group.scripts) {
      const source = this.#wanted.script.get(host);
      if (source && !this.#isPending("script", host)) this.#onKept(host, source);
    }
    const modules = [...group.modules].filter((name) => this.#isPending("module", name));
    const isAtStake = (host: string) =>
      modules.length > 0 && (this.#live.script.has(host) || this.#alsoLive(host).length > 0);
    const atStake = [...group.scripts].filter(isAtStake);
    const others = [...group.scripts].filter((host) => !isAtStake(host));
    if (modules.length > 0) await this.#settleSafely(modules, atStake);
    this.#release(keysOf({ modules: group.modules, scripts: new Set(atStake) }));
    const each = others.map(async (host) => {
      await this.#settleSafely([], [host]);
      this.#release([`scripts/${host}`]);
    });
    await Promise.all(each);
  }

  async #settleSafely(modules: readonly string[], scripts: readonly string[]): Promise<void> {
    try {
      await this.#settle(modules, scripts);
    } catch (error) {
      this.#log.error({ err: error }, "the check of scripts failed; what was live stays");
    }
  }

  #release(keys: readonly string[]): void {
    for (const key of keys) {
      this.#busy.delete(key);
      const { isScript, name } = partsOf(key);
      if (!this.#isPending(isScript ? "script" : "module", name)) this.#refusals.delete(key);
      if (isScript) this.#onExamined(name);
    }
    this.#advance();
    this.#rest();
  }

  #rest(): void {
    if (this.#isPlanned || this.#busy.size > 0) return;
    this.#idle?.resolve();
    this.#idle = null;
  }

  #isPending(kind: "script" | "module", name: string): boolean {
    return isPending(kind, name, this.#wanted, this.#live);
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
      const message = `it would break ${describeFault(trial.broken)}`;
      const key = `modules/${name}`;
      this.#refuse(key, { ...trial.broken, key, line: 0, column: 0, message });
      await this.#settle([], scripts);
    }
  }

  async #try(modules: readonly string[], scripts: readonly string[]): Promise<Trial> {
    const refused: { key: string; fault: ScriptFault }[] = [];
    const candidates = new Map(this.#live.module);
    const sound: string[] = [];
    const wantedModules = new Map(this.#wanted.module);
    const wantedScripts = new Map(this.#wanted.script);
    const probes = modules.map(async (name) => {
      const fault = await this.#faultOfModule(name, wantedModules);
      // A module is at fault here for its own text, and for a cycle that it is in; what it imports answers
      // for itself.
      const isAtFault =
        fault !== null && (fault.key === `modules/${name}` || needsItself(name, wantedModules));
      if (isAtFault) refused.push({ key: `modules/${name}`, fault });
      else sound.push(name);
    });
    await Promise.all(probes);
    for (const name of sound) setOrDelete(candidates, name, wantedModules.get(name));

    const accepted: string[] = [];
    let broken: ScriptFault | null = null;
    const isConcerned = this.#importersOf(new Set(sound));
    const checks = scripts.map(async (host) => {
      const wanted = wantedScripts.get(host);
      const live = this.#live.script.get(host);
      const isNew = wanted !== undefined && wanted.version !== live?.version;
      const isWanted = () => !this.#dirty.has(`scripts/${host}`);
      const fault = isNew ? await this.#faultOf(host, wanted, candidates, isWanted) : null;
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
    await Promise.all(checks);
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
    isWanted?: () => boolean,
  ): Promise<ScriptFault | null> {
    const tables = { script: new Map([[host, source]]), module: modules, setting: this.#settings };
    try {
      return await this.#check(host, tables, isWanted);
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
    const changes: Candidate[] = [];
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
    // Another source came meanwhile.
    if (this.#dirty.has(key)) return;
    const { isScript, name } = partsOf(key);
    const version = this.#wanted[isScript ? "script" : "module"].get(name)?.version ?? null;
    const isOwn = fault.key === key;
    const message = isOwn ? fault.message : describeFault(fault);
    const known = this.#refusals.get(key);
    if (known?.version === version && known.message === message) return;
    const { line, column } = isOwn ? fault : { line: 0, column: 0 };
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

function setOrDelete<V>(map: Map<string, V>, key: string, value: V | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}
