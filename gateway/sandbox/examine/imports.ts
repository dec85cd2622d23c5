/**
 * What a source imports: the one definition for examining a source, linking it, and finding the scripts that a
 * module concerns. A lexer reads it from the text, without running it. `loading.ts` refuses a source in which V8
 * finds an import that the lexer did not find.
 */
// The full build reads TypeScript too: for each `export const a = <` it looks through the rest of the text for the end of a
// list of types, 40 seconds for half a megabyte of them.
import { init, parse } from "es-module-lexer/minimal";
import type { Source } from "../../model/index.ts";
import { maxImports, moduleNameOf } from "../run/module-names.ts";
import type { Imports } from "../run/source-reader.ts";

// The lexer is WebAssembly, which is compiled once.
await init();

const notDynamic = -1;
/** By the lexer's number for the kind of an import. */
const phases: ReadonlyMap<number, string> = new Map([
  [4, "source"],
  [6, "defer"],
]);

/** Sources never change, so what was read from one holds as long as the source exists. */
const known = new WeakMap<Source, Imports>();

/** Takes about a millisecond for 100 KB, once for each source. */
export function importsOf(source: Source): Imports {
  const found = known.get(source) ?? importsIn(source.text);
  known.set(source, found);
  return found;
}

/** As `importsOf`, without remembering it. */
export function importsIn(text: string): Imports {
  const modules = new Set<string>();
  let problem: Imports["problem"] = null;
  const complain = (index: number, message: string) => {
    problem ??= { index, message };
  };
  try {
    const [imports] = parse(text);
    for (const one of imports) {
      if (one.d !== notDynamic) continue;
      const phase = phases.get(one.t);
      if (phase !== undefined) complain(one.ss, `import ${phase} is not available`);
      if (one.a !== -1) complain(one.a, "an import has no attributes here");
      const name = moduleNameOf(one.n ?? "");
      if (name === null) continue;
      modules.add(name);
      if (modules.size <= maxImports) continue;
      complain(one.ss, `it imports more than ${maxImports} modules`);
      break;
    }
  } catch (error) {
    const index = error instanceof Error && "idx" in error ? Number(error.idx) : 0;
    complain(index, "its imports cannot be read: it is no JavaScript, or nests too deep");
  }
  return { modules: [...modules], problem };
}
