/**
 * The texts of scripts and modules and which imports which, as far as it can be read off a text without
 * running it. Too many imports cost a check; none is missed.
 */
import type { Source, Tables } from "../state/index.ts";

const moduleName = /["'`]modules\/([^"'`\\\s]+)["'`]/g;

export class ScriptSources {
  readonly script: Map<string, Source>;
  readonly module: Map<string, Source>;
  readonly #imports = new WeakMap<Source, readonly string[]>();

  constructor(script: ReadonlyMap<string, Source>, module: ReadonlyMap<string, Source>) {
    this.script = new Map(script);
    this.module = new Map(module);
  }

  static of(tables: Tables): ScriptSources {
    return new ScriptSources(tables.script, tables.module);
  }

  set(kind: "script" | "module", name: string, value: Source | null): void {
    if (value === null) this[kind].delete(name);
    else this[kind].set(name, value);
  }

  /** The modules that a text names, and those that these name in turn. */
  importsOf(source: Source): ReadonlySet<string> {
    const found = new Set<string>();
    const open = [source];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      for (const name of this.#named(next)) {
        if (found.has(name)) continue;
        found.add(name);
        const module = this.module.get(name);
        if (module !== undefined) open.push(module);
      }
    }
    return found;
  }

  #named(source: Source): readonly string[] {
    const known = this.#imports.get(source);
    if (known !== undefined) return known;
    const names = [...source.text.matchAll(moduleName)].map((match) => match[1] ?? "");
    this.#imports.set(source, names);
    return names;
  }
}

/** The hosts whose script, in any of the `sources`, imports one of `modules`. */
export function importersOf(
  modules: ReadonlySet<string>,
  ...sources: readonly ScriptSources[]
): ReadonlySet<string> {
  const hosts = new Set<string>();
  if (modules.size === 0) return hosts;
  for (const set of sources) {
    for (const [host, source] of set.script) {
      if (!set.importsOf(source).isDisjointFrom(modules)) hosts.add(host);
    }
  }
  return hosts;
}

/** Runs `task` for each item, at most `limit` at once. Rejects with the first error. */
export async function forEachAtMost<T>(
  limit: number,
  items: readonly T[],
  task: (item: T) => Promise<void>,
): Promise<void> {
  const rest = items.values();
  const lanes = Array.from({ length: Math.min(limit, items.length) }, async () => {
    for (const item of rest) await task(item);
  });
  await Promise.all(lanes);
}
