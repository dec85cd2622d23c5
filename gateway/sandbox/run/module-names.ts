/** How a source names a module, and how many it may name. Light: every worker loads it. */

/** One source may name this many modules, and all that it needs in the end may be this many. */
export const maxImports = 100;
export const maxClosure = 1_000;

const moduleKey = /^modules\/(.+)$/s;

/** The name of the module that a specifier means; `null` when it means something else. */
export function moduleNameOf(specifier: string): string | null {
  return moduleKey.exec(specifier)?.[1] ?? null;
}
