/**
 * The texts of scripts and modules, and which scripts import a module. The sandbox says which modules a text
 * imports.
 */

import type { Source, Tables } from "../../model/index.ts";
import { Importers, ModuleGraph } from "../../sandbox/index.ts";

export class ScriptTexts {
  readonly #script = new Map<string, Source>();
  readonly #importers = new Importers();
  readonly modules: ModuleGraph;

  constructor({ script, module }: Pick<Tables, "script" | "module">) {
    this.modules = new ModuleGraph(module);
    for (const [host, source] of script) this.set("script", host, source);
  }

  get script(): ReadonlyMap<string, Source> {
    return this.#script;
  }

  get module(): ReadonlyMap<string, Source> {
    return this.modules.modules;
  }

  set(kind: "script" | "module", name: string, value: Source | null): void {
    if (kind === "module") {
      this.modules.set(name, value);
      return;
    }
    this.#importers.set(name, this.#script.get(name) ?? null, value);
    if (value === null) this.#script.delete(name);
    else this.#script.set(name, value);
  }

  /** The hosts whose script names one of these modules itself. */
  hostsOf(modules: Iterable<string>): ReadonlySet<string> {
    const hosts = new Set<string>();
    for (const name of modules) for (const host of this.#importers.of(name)) hosts.add(host);
    return hosts;
  }
}
