/**
 * What versions declare of their own lives, and the modules and settings that it takes to find out. The
 * gate tells of what it checked; anything else is examined here.
 */
import {
  type Declared,
  defaultThreshold,
  type ExamineScript,
  ModuleGraph,
  type Threshold,
} from "../sandbox/index.ts";
import type { Json, Source, Tables } from "../state/index.ts";

const plain: Declared = {
  onError: "deny",
  rollout: null,
  schedule: null,
  takeBack: defaultThreshold,
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

  thresholdOf(version: string): Threshold {
    return this.#declared.get(version)?.takeBack ?? defaultThreshold;
  }

  /**
   * Examines a version like any other but for its tests, which were of its own time. Resolves to why it
   * cannot serve, or `null`.
   */
  async examine(host: string, version: string, text: string): Promise<string | null> {
    const { fault, declared } = await this.#examine(host, {
      script: new Map([[host, { text, version, modifyIndex: 0 }]]),
      module: this.#modules.modules,
      setting: this.#settings,
    });
    if (declared !== null) this.learn(version, declared);
    return fault === null || fault.test !== undefined ? null : fault.message;
  }

  /** As `examine`, of what serves already: where it cannot be read, it declares nothing. */
  async learnOf(host: string, { version, text }: Source): Promise<void> {
    const problem = await this.examine(host, version, text);
    if (problem !== null) this.learn(version, plain);
  }
}
