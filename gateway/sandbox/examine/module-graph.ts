/**
 * Modules and their importers, kept up to date, so that finding the sources that a changed module affects does
 * not depend on how many others there are. Knows the texts only, not whether they are good.
 */
import type { Source } from "../../model/index.ts";
import { maxClosure } from "../run/module-names.ts";
import { importsOf } from "./imports.ts";

export class ModuleGraph {
  readonly #modules = new Map<string, Source>();
  readonly #importers = new Importers();

  constructor(modules: ReadonlyMap<string, Source> = new Map()) {
    for (const [name, source] of modules) this.set(name, source);
  }

  get modules(): ReadonlyMap<string, Source> {
    return this.#modules;
  }

  set(name: string, source: Source | null): void {
    this.#importers.set(name, this.#modules.get(name) ?? null, source);
    if (source === null) this.#modules.delete(name);
    else this.#modules.set(name, source);
  }

  /** These modules and all that import one of them, directly or through others. */
  concernedBy(modules: Iterable<string>): ReadonlySet<string> {
    const found = new Set(modules);
    for (const name of found) for (const importer of this.#importers.of(name)) found.add(importer);
    return found;
  }

  /** The modules that these sources need, directly or through others; also names that are not there. */
  closureOf(sources: Iterable<Source>): ReadonlySet<string> {
    return closureOf(sources, this.#modules);
  }
}

/** Scripts or modules by the modules that they name. */
export class Importers {
  readonly #keys = new Map<string, Set<string>>();

  set(key: string, before: Source | null, source: Source | null): void {
    for (const name of before === null ? [] : importsOf(before).modules) {
      const keys = this.#keys.get(name);
      keys?.delete(key);
      if (keys?.size === 0) this.#keys.delete(name);
    }
    for (const name of source === null ? [] : importsOf(source).modules) {
      const keys = this.#keys.get(name);
      if (keys === undefined) this.#keys.set(name, new Set([key]));
      else keys.add(key);
    }
  }

  of(name: string): Iterable<string> {
    return this.#keys.get(name) ?? [];
  }
}

/** Whether a source names one of these modules itself. */
export function imports(source: Source, modules: ReadonlySet<string>): boolean {
  return importsOf(source).modules.some((name) => modules.has(name));
}

/** As `ModuleGraph.closureOf`, within `modules`. */
export function closureOf(
  sources: Iterable<Source>,
  modules: ReadonlyMap<string, Source>,
): ReadonlySet<string> {
  const found = new Set<string>();
  for (const source of sources) for (const name of importsOf(source).modules) found.add(name);
  for (const name of found) {
    const source = modules.get(name);
    for (const next of source === undefined ? [] : importsOf(source).modules) found.add(next);
  }
  return found;
}

/** Whether a module needs itself, directly or through others. */
export function needsItself(name: string, modules: ReadonlyMap<string, Source>): boolean {
  const source = modules.get(name);
  return source !== undefined && closureOf([source], modules).has(name);
}

/**
 * The modules that a script needs, without those that do not exist; `null` when they are more than it may have.
 */
export function modulesFor(
  script: Source,
  modules: ReadonlyMap<string, Source>,
): ReadonlyMap<string, Source> | null {
  const needed = new Map<string, Source>();
  const found = new Set(importsOf(script).modules);
  for (const name of found) {
    if (found.size > maxClosure) return null;
    const source = modules.get(name);
    if (source === undefined) continue;
    needed.set(name, source);
    for (const next of importsOf(source).modules) found.add(next);
  }
  return needed;
}
