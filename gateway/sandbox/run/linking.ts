/**
 * Which modules a script is made of: reads import specifiers as keys of KV, and finds what is missing
 * or imports itself. Compiles nothing.
 */
import type { Source, Tenants } from "../../model/index.ts";
import { positionAt, ScriptError } from "./faults.ts";
import { maxClosure, moduleNameOf } from "./module-names.ts";
import type { Imports } from "./source-reader.ts";

/** A source on its way into an isolate. */
export interface Part {
  /** `scripts/<host>` or `modules/<name>`. */
  readonly key: string;
  readonly text: string;
  /** What is put into the text, as `growth-checks.ts` writes it. Default: nothing. */
  readonly checks?: string | undefined;
}

/**
 * The module that `specifier` means in `importer`.
 * @throws ScriptError that names the importer, with the place, when there is none, or none for it.
 */
export function resolveImport(
  importer: Part,
  specifier: string,
  modules: ReadonlyMap<string, Source>,
  tenants: Tenants | null,
): Part {
  const name = moduleNameOf(specifier);
  if (name === null) {
    const message = `import "${specifier}": only "modules/<name>" can be imported`;
    throw importError(importer, specifier, message);
  }
  // Checked before the look-up, so that nobody learns which modules other tenants have.
  const refusal = tenants?.refusal(tenants.ofSource(importer.key), "modules", name) ?? null;
  if (refusal !== null) throw importError(importer, specifier, `import "${specifier}": ${refusal}`);
  const source = modules.get(name);
  if (source === undefined) {
    throw importError(importer, specifier, `import "${specifier}": there is no such key`);
  }
  return { key: specifier, text: source.text, checks: source.checks };
}

/**
 * @param imports what each key imports.
 * @throws ScriptError that names the keys of the first cycle.
 */
export function refuseCycles(
  start: Part,
  parts: ReadonlyMap<string, Part>,
  imports: ReadonlyMap<string, readonly string[]>,
): void {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (part: Part): void => {
    if (done.has(part.key)) return;
    path.push(part.key);
    for (const imported of imports.get(part.key) ?? []) {
      const from = path.indexOf(imported);
      if (from !== -1) {
        const cycle = [...path.slice(from), imported].join(" -> ");
        throw importError(part, imported, `the imports make a cycle: ${cycle}`);
      }
      const next = parts.get(imported);
      if (next !== undefined) visit(next);
    }
    path.pop();
    done.add(part.key);
  };
  visit(start);
}

/**
 * @param specifiers the imports that V8 found in the part.
 * @param read the imports that the lexer found in its text.
 * @throws ScriptError for an import that the part may not have, or that the lexer did not find.
 */
export function refuseImports(part: Part, specifiers: readonly string[], read: Imports): void {
  const { modules, problem } = read;
  if (problem !== null) throw errorAt(part, problem);
  const known = new Set(modules);
  for (const specifier of specifiers) {
    const name = moduleNameOf(specifier);
    if (name === null || known.has(name)) continue;
    throw importError(part, specifier, `import "${specifier}" is written so that it is not found`);
  }
}

export const tooManyModules = `it needs more than ${maxClosure} modules, those of its modules counted in`;

/** @throws ScriptError when a script needs more modules than it may. */
export function refuseMany(start: Part, parts: ReadonlyMap<string, Part>): void {
  if (parts.size <= maxClosure + 1) return;
  throw new ScriptError({ key: start.key, line: 0, column: 0, message: tooManyModules });
}

const noExport = "' does not provide an export named '";

/** V8 says which export is missing but not who imports it: the first part that names both. */
export function locateMissingExport(error: unknown, parts: Iterable<Part>): ScriptError | null {
  const found = error instanceof Error ? readMissingExport(error.message) : null;
  if (found === null) return null;
  const { specifier, name } = found;
  for (const part of parts) {
    const isImporter = ['"', "'"].some((quote) => part.text.includes(quote + specifier + quote));
    if (!isImporter || !(name === "default" || part.text.includes(name))) continue;
    return importError(part, specifier, `${specifier} has no export named ${name}`);
  }
  return null;
}

/** Out of `... module '<specifier>' does not provide an export named '<name>'`; `null` for another message. */
function readMissingExport(message: string): { specifier: string; name: string } | null {
  const from = message.indexOf("module '");
  const middle = message.indexOf(noExport, from);
  const to = message.lastIndexOf("'");
  const nameFrom = middle + noExport.length;
  if (from === -1 || middle === -1 || to <= nameFrom) return null;
  return { specifier: message.slice(from + 8, middle), name: message.slice(nameFrom, to) };
}

/** An error at a place of a part's text. */
export function errorAt(
  { key, text }: Part,
  { index, message }: { readonly index: number; readonly message: string },
): ScriptError {
  return new ScriptError({ key, ...positionAt(text, index), message });
}

function importError(importer: Part, specifier: string, message: string): ScriptError {
  const quoted = [`"${specifier}"`, `'${specifier}'`];
  const index = Math.max(...quoted.map((text) => importer.text.indexOf(text)));
  const position = index === -1 ? { line: 0, column: 0 } : positionAt(importer.text, index);
  return new ScriptError({ key: importer.key, ...position, message });
}
