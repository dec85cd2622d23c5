/**
 * What versions declare about their release (rollout, schedule, take-back), and the modules and settings that
 * an examination needs. The gate passes on what it found in the sources that it checked; any other source is
 * examined here.
 */

import type { Json, Source, Tables } from "../../model/index.ts";
import {
  type Declared,
  defaultTakeBack,
  type ExamineScript,
  ModuleGraph,
  type ScriptTables,
  type TakeBackRule,
} from "../../sandbox/index.ts";

const plain: Declared = {
  onError: "deny",
  rollout: null,
  schedule: null,
  takeBack: defaultTakeBack,
  canRefuse: true,
};

export class Declarations {
  readonly #examine: ExamineScript;
  readonly #modules: ModuleGraph;
  /** Replaced when one changes. */
  #settings: ReadonlyMap<string, Json>;
  readonly #declared = new Map<string, Declared>();

  constructor(examine: ExamineScript, live: Tables) {
    this.#examine = examine;
    this.#modules = new ModuleGraph(live.module);
    this.#settings = new Map(live.setting);
  }

  /** Returns whether it is another text than before. */
  takeModule(name: string, source: Source | null): boolean {
    const before = this.#modules.modules.get(name);
    this.#modules.set(name, source);
    return before !== undefined && before.version !== source?.version;
  }

  /** These modules and all that import one of them, directly or through others. */
  concernedBy(modules: Iterable<string>): ReadonlySet<string> {
    return this.#modules.concernedBy(modules);
  }

  takeSetting(name: string, value: Json | null): void {
    const settings = new Map(this.#settings);
    if (value === null) settings.delete(name);
    else settings.set(name, value);
    this.#settings = settings;
  }

  learn(version: string, declared: Declared): void {
    this.#declared.set(version, declared);
  }

  has(version: string): boolean {
    return this.#declared.has(version);
  }

  /** Forgets what no other version than these declared. */
  keep(versions: ReadonlySet<string>): void {
    for (const version of this.#declared.keys()) {
      if (!versions.has(version)) this.#declared.delete(version);
    }
  }

  /** `null` for what is not known, and for what declares none. */
  rolloutOf(source: Source | null) {
    return source === null ? null : (this.#declared.get(source.version)?.rollout ?? null);
  }

  scheduleOf(version: string) {
    return this.#declared.get(version)?.schedule ?? null;
  }

  takeBackOf(version: string): TakeBackRule {
    return this.#declared.get(version)?.takeBack ?? defaultTakeBack;
  }

  /** Whether a version can end a request by itself; `null`: not known. */
  canRefuse(version: string): boolean | null {
    return this.#declared.get(version)?.canRefuse ?? null;
  }

  /** Whether requests on which a version fails may be let through, as the version says. */
  mayOpen(version: string): boolean {
    const declared = this.#declared.get(version);
    return declared !== undefined && (declared.onError === "skip" || declared.takeBack.mayOpen);
  }

  /** A source with the modules and settings that serve now. */
  tablesOf(host: string, source: Source): ScriptTables {
    const script = new Map([[host, source]]);
    return { script, module: this.#modules.modules, setting: this.#settings };
  }

  /**
   * Examines a version without its tests, which passed when it was new. Resolves to why it cannot serve, or
   * `null`.
   */
  async examine(host: string, version: string, text: string): Promise<string | null> {
    const tables = this.tablesOf(host, { text, version, modifyIndex: 0 });
    const { fault, declared } = await this.#examine(host, tables);
    if (declared !== null) this.learn(version, declared);
    return fault === null || fault.test !== undefined ? null : fault.message;
  }

  /** As `examine`, for a version that serves already: one that cannot be read declares nothing. */
  async learnOf(host: string, { version, text }: Source): Promise<void> {
    const problem = await this.examine(host, version, text);
    if (problem !== null) this.learn(version, plain);
  }
}
