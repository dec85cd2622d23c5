/**
 * Tries sources together, as they would serve: modules first, then new scripts and those that import the
 * modules. Lets nothing through.
 */
import type { Json, Source } from "../../model/index.ts";
import { type ExamineScript, imports, needsItself, type ScriptFault } from "../../sandbox/index.ts";
import type { Subject } from "../records/keys.ts";
import type { ScriptTexts } from "./script-texts.ts";
import type { Serving } from "./serving.ts";

/** The result of trying a set of modules together with the scripts that import them. */
export interface Attempt {
  readonly scripts: readonly string[];
  readonly modules: readonly string[];
  readonly refused: readonly { readonly subject: Subject; readonly fault: ScriptFault }[];
  /** A live script that these modules would break. */
  readonly broken: ScriptFault | null;
}

export interface AttemptsOptions {
  readonly examine: ExamineScript;
  readonly serving: Serving;
  /** What Consul has. */
  readonly wanted: ScriptTexts;
  /** What was let through last. */
  readonly live: ScriptTexts;
  readonly settings: () => ReadonlyMap<string, Json>;
  /** Whether Consul has another source by now, so that nobody needs this one's result any more. */
  readonly isReplaced: (subject: Subject) => boolean;
}

export class Attempts {
  readonly #options: AttemptsOptions;

  constructor(options: AttemptsOptions) {
    this.#options = options;
  }

  async try(modules: readonly string[], scripts: readonly string[]): Promise<Attempt> {
    const { serving, wanted, live, isReplaced } = this.#options;
    const refused: { subject: Subject; fault: ScriptFault }[] = [];
    const candidates = new Map(live.module);
    const sound: string[] = [];
    const wantedModules = new Map(wanted.module);
    const wantedScripts = new Map(wanted.script);
    const probes = modules.map(async (name) => {
      const fault = await this.#faultOfModule(name, wantedModules);
      // A module fails here for its own text, or for an import cycle that it is in. The modules that it imports
      // are judged by themselves.
      const isAtFault =
        fault !== null && (fault.key === `modules/${name}` || needsItself(name, wantedModules));
      if (isAtFault) refused.push({ subject: `modules/${name}`, fault });
      else sound.push(name);
    });
    await Promise.all(probes);
    for (const name of sound) setOrDelete(candidates, name, wantedModules.get(name));

    const accepted: string[] = [];
    let broken: ScriptFault | null = null;
    const isConcerned = this.importersOf(new Set(sound));
    const checks = scripts.map(async (host) => {
      const source = wantedScripts.get(host);
      const before = live.script.get(host);
      const isNew = source !== undefined && source.version !== before?.version;
      const isWanted = () => !isReplaced(`scripts/${host}`);
      const fault = isNew ? await this.#faultOf(host, source, candidates, isWanted) : null;
      if (isNew && fault === null) accepted.push(host);
      if (isNew && fault !== null) {
        const told = this.#withCause(fault, source, wantedModules, candidates);
        refused.push({ subject: `scripts/${host}`, fault: told });
      }
      // Where the new text does not go live the old one stays, and has to live with the modules.
      if (!isConcerned.has(host)) return;
      const staying = new Map(serving.inService(host).map((one) => [one.version, one]));
      if (before !== undefined && !(isNew && fault === null)) staying.set(before.version, before);
      if (isNew) staying.delete(source.version);
      for (const one of staying.values()) {
        const found = await this.#faultOf(host, one, candidates);
        // Its tests passed when it was new; now it only has to load.
        if (found !== null && (one === before || found.test === undefined)) broken = found;
      }
    });
    await Promise.all(checks);
    return { scripts: accepted, modules: sound, refused, broken };
  }

  /** The hosts of which any version that serves, or is to serve, imports one of `modules`. */
  importersOf(modules: ReadonlySet<string>): ReadonlySet<string> {
    if (modules.size === 0) return modules;
    const { serving, wanted, live } = this.#options;
    const concerned = wanted.modules.concernedBy(modules);
    const hosts = wanted.hostsOf(concerned).union(live.hostsOf(live.modules.concernedBy(modules)));
    for (const host of wanted.script.keys()) {
      if (serving.inService(host).some((source) => imports(source, concerned))) hosts.add(host);
    }
    return hosts;
  }

  /** A module that did not pass its own check counts as missing for a script. */
  #withCause(
    fault: ScriptFault,
    script: Source,
    wanted: ReadonlyMap<string, Source>,
    passed: ReadonlyMap<string, Source>,
  ): ScriptFault {
    const needed = this.#options.wanted.modules.closureOf([script]);
    const cause = [...needed].find((name) => wanted.has(name) && !passed.has(name));
    if (cause === undefined) return fault;
    return { ...fault, message: `${fault.message}; modules/${cause} is refused itself` };
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
    const { examine, serving, settings } = this.#options;
    const tables = { script: new Map([[host, source]]), module: modules, setting: settings() };
    try {
      const { fault, declared } = await examine(host, tables, isWanted);
      if (fault === null && declared !== null) serving.learn(source.version, declared);
      return fault;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return { key: `scripts/${host}`, line: 0, column: 0, message: `not checked: ${reason}` };
    }
  }
}

function setOrDelete<V>(map: Map<string, V>, key: string, value: V | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}
