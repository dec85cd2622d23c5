/**
 * What an examination finds in the text of a source, before anything of it runs. The readers are in `examine/`: a
 * worker is given only what was examined, and loads neither the parser nor the lexer.
 */

export interface Imports {
  /** The modules that it names, each once; at most one more than `maxImports`. */
  readonly modules: readonly string[];
  /** Why its imports keep it from going live; `null`: nothing does. `index`: where in the text. */
  readonly problem: { readonly index: number; readonly message: string } | null;
}

/** Something that is wrong, and where in the text. */
export interface Found {
  readonly index: number;
  readonly message: string;
}

/** What was found in a source. Its text is not kept. */
export interface Syntax {
  /**
   * The first construct that no script may have; `null`: there is none. It may also be syntax that V8 knows and the
   * parser does not.
   */
  readonly problem: Found | null;
  /** The names that it exports, with their places; those of `wholes` are not among them. */
  readonly exports: ReadonlyMap<string, number>;
  /** What it exports as a whole, `export * from`, by specifier. */
  readonly wholes: ReadonlyMap<string, number>;
  /** Where each of its `tests` begins and ends, as far as it writes them out as a list. */
  readonly cases: readonly (readonly [number, number])[];
  /** What is put into it before it runs, as `growth-checks.ts` writes it. */
  readonly checks: string;
  /** Whether it names something that can end a request. */
  readonly refuses: boolean;
}

export interface SourceReader {
  imports(text: string): Imports;
  read(text: string): Syntax;
  /**
   * An export of a script that means nothing to the gateway; `null` when all have a meaning.
   * @param syntaxOf what a specifier stands for.
   */
  strangeExport(script: Syntax, syntaxOf: (specifier: string) => Syntax | undefined): Found | null;
}
