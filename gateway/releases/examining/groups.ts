/**
 * Which scripts and modules have to be examined together, because they import a module that is to change. Reads
 * texts only; decides nothing about them.
 */
import { imports } from "../../sandbox/index.ts";
import { partsOf, type Subject } from "../records/keys.ts";
import type { ScriptTexts } from "./script-texts.ts";

/** Keys that have to be examined together: modules that are to change, and the scripts that import them. */
export interface Group {
  readonly modules: Set<string>;
  readonly scripts: Set<string>;
}

export interface ScriptGroupsOptions {
  /** What Consul has. */
  readonly wanted: ScriptTexts;
  /** What was let through last. */
  readonly live: ScriptTexts;
  /** The hosts of which any version needs one of these modules. */
  readonly importersOf: (modules: ReadonlySet<string>) => ReadonlySet<string>;
}

/** The situation during one planning. */
export class ScriptGroups {
  readonly #options: ScriptGroupsOptions;
  /** Modules that are to change. */
  readonly #pending = new Set<string>();
  /** Those, and all that import them. */
  readonly #concerned: ReadonlySet<string>;

  constructor(options: ScriptGroupsOptions) {
    this.#options = options;
    const { wanted, live } = options;
    for (const name of [...wanted.module.keys(), ...live.module.keys()]) {
      if (isPending("module", name, wanted, live)) this.#pending.add(name);
    }
    this.#concerned = wanted.modules.concernedBy(this.#pending);
  }

  /**
   * What has to be examined together with this one: the modules that are to change with it, and the scripts
   * that import these.
   */
  of(subject: Subject): Group {
    const { wanted, live, importersOf } = this.#options;
    const pending = this.#pending;
    const { kind, name } = partsOf(subject);
    const isScript = kind === "scripts";
    const group: Group = { modules: new Set(), scripts: new Set() };
    if (isScript) group.scripts.add(name);
    else group.modules.add(name);
    // A refused script may pass now that a module is back to its old text.
    if (!isScript && !pending.has(name)) {
      for (const host of importersOf(group.modules)) {
        if (isPending("script", host, wanted, live)) group.scripts.add(host);
      }
    }
    for (let size = 0; size < group.modules.size + group.scripts.size; ) {
      size = group.modules.size + group.scripts.size;
      const sources = [...group.scripts]
        .flatMap((host) => wanted.script.get(host) ?? [])
        .filter((source) => imports(source, this.#concerned));
      const modules = [...group.modules].flatMap((each) => wanted.module.get(each) ?? []);
      const needed = wanted.modules.closureOf([...sources, ...modules]);
      for (const each of needed.intersection(pending)) group.modules.add(each);
      // Whatever imports one of these may have been refused because it was missing.
      const changing = group.modules.intersection(pending);
      const importers = wanted.modules.concernedBy(changing);
      for (const each of importers.intersection(pending)) group.modules.add(each);
      for (const host of importersOf(changing)) group.scripts.add(host);
    }
    return group;
  }
}

/** Whether what was let through is not what Consul has. */
export function isPending(
  kind: "script" | "module",
  name: string,
  wanted: ScriptTexts,
  live: ScriptTexts,
): boolean {
  return wanted[kind].get(name)?.version !== live[kind].get(name)?.version;
}

export function subjectsOf({ modules, scripts }: Group): readonly Subject[] {
  const names: readonly Subject[] = Array.from(modules, (name) => `modules/${name}` as const);
  return [...names, ...Array.from(scripts, (host) => `scripts/${host}` as const)];
}
