/**
 * Brings a script into an isolate: compiles it and its modules, links, evaluates, and hands its exports to the
 * code inside. Written once as steps, which a worker runs synchronously and a check on other threads.
 */
import type ivm from "isolated-vm";
import type { Source, Tenants } from "../../model/index.ts";
import { takeEntry } from "./base-snapshot.ts";
import { type Declared, parseDeclared } from "./declared.ts";
import { type ColumnOf, cutOf, faultAt, faultOf, ScriptError } from "./faults.ts";
import { columnBefore, withChecks } from "./growth-checks.ts";
import {
  errorAt,
  locateMissingExport,
  type Part,
  refuseCycles,
  refuseImports,
  refuseMany,
  resolveImport,
} from "./linking.ts";
import { type Match, parseMatch } from "./match.ts";
import { type LogLine, readOutput } from "./output.ts";
import type { SourceReader, Syntax } from "./source-reader.ts";
import { seesSettings } from "./tenant-settings.ts";

/** One operation on an isolate. Runs in either way, not both. */
interface Step {
  now(): void;
  later(): Promise<void>;
}

/** Functions inside an isolate. Called with strings and numbers, they return a string. */
export interface Entry {
  readonly onRequest: ivm.Reference<unknown>;
  readonly onResponse: ivm.Reference<unknown>;
  readonly replaceSettings: ivm.Reference<unknown>;
}

export interface Loaded {
  readonly entry: Entry;
  /** Whether it, or a module of it, may read settings: it is given them only then. */
  readonly readsSettings: boolean;
  readonly match: Match;
  /** Whether it has a default export. */
  readonly hasOnRequest: boolean;
  readonly hasOnResponse: boolean;
  readonly declared: Declared;
  /** `export const tests` as data, not looked at; `null` when there are none or they are not wanted. */
  readonly tests: unknown;
  readonly logs: readonly LogLine[];
  /** What was read of the script's own text; `null` where it was not wanted. */
  readonly syntax: Syntax | null;
  /** By key, the checks of the script and of each of its modules, where they were read. */
  readonly checks: ReadonlyMap<string, string>;
  readonly columnOf: ColumnOf;
}

export interface LoadOptions {
  /** Made with a `BaseSnapshot`; nothing has run in it. */
  readonly isolate: ivm.Isolate;
  /** `scripts/<host>`. */
  readonly key: string;
  readonly text: string;
  /** As in a `Source`. */
  readonly checks?: string | undefined;
  readonly modules: ReadonlyMap<string, Source>;
  /** The KV settings that the script sees, as one JSON object. */
  readonly settings: string;
  /** Who may import what; `null`: everybody everything. */
  readonly tenants: Tenants | null;
  readonly timeoutMs: number;
  /** Called before the sources run: from then on `timeoutMs` counts. */
  readonly onEvaluate?: () => void;
  /**
   * For an examination: the sources are strangers' and are read before anything of them runs, and `tests` is
   * brought out. Workers are given only what was examined. Default: this is none.
   */
  readonly reader?: SourceReader;
  /** Called for each module that the script needs, also when it is missing. */
  readonly onImport?: (name: string) => void;
}

/** @throws ScriptError, or what isolated-vm throws (see `faultOf`). */
export function loadNow(options: LoadOptions): Loaded {
  const steps = load(options);
  let next = steps.next();
  while (!next.done) {
    try {
      next.value.now();
    } catch (error) {
      next = steps.throw(error);
      continue;
    }
    next = steps.next();
  }
  return next.value;
}

/** As `loadNow`, but on another thread. Rejects with what `loadNow` throws. */
export async function loadLater(options: LoadOptions): Promise<Loaded> {
  const steps = load(options);
  let next = steps.next();
  while (!next.done) {
    try {
      await next.value.later();
    } catch (error) {
      next = steps.throw(error);
      continue;
    }
    next = steps.next();
  }
  return next.value;
}

function* load(options: LoadOptions): Generator<Step, Loaded, void> {
  const { isolate, timeoutMs } = options;
  const limit = { timeout: timeoutMs };
  const context = yield* step(
    () => isolate.createContextSync(),
    () => isolate.createContext(),
  );
  const origin = { filename: "sluice:inside" };
  const asReference = { ...origin, result: { reference: true } } as const;
  const inside = (yield* step<unknown>(
    () => context.evalClosureSync(takeEntry, [], asReference),
    () => context.evalClosure(takeEntry, [], asReference),
  )) as ivm.Reference<Record<string, unknown>>;
  const entryOf = function* (name: string): Generator<Step, ivm.Reference<unknown>, void> {
    return yield* step(
      () => inside.getSync(name, { reference: true }),
      () => inside.get(name, { reference: true }),
    );
  };
  const entry: Entry = {
    onRequest: yield* entryOf("onRequest"),
    onResponse: yield* entryOf("onResponse"),
    replaceSettings: yield* entryOf("replaceSettings"),
  };

  const { main, resolve, parts, syntax, checks, canRefuse } = yield* compileAll(options);
  const readsSettings = [...parts.values()].some(({ text }) => seesSettings(text));
  if (readsSettings) {
    yield* step(
      () => entry.replaceSettings.applySync(undefined, [options.settings]),
      () => entry.replaceSettings.apply(undefined, [options.settings]),
    );
  }
  const columnOf: ColumnOf = (key, line, column) => {
    const part = parts.get(key);
    if (part === undefined) return null;
    return columnBefore(part.text, checks.get(key) ?? part.checks, line, column);
  };
  try {
    yield* step(
      () => main.instantiateSync(context, resolve),
      () => main.instantiate(context, resolve),
    );
  } catch (error) {
    throw locateMissingExport(error, parts.values()) ?? error;
  }
  options.onEvaluate?.();
  try {
    yield* step(
      () => main.evaluateSync(limit),
      () => main.evaluate(limit),
    );
  } catch (error) {
    if (error instanceof Error && cutOf(error) !== null) throw error;
    throw new ScriptError(faultOf(options.key, error, timeoutMs, columnOf));
  }
  const register = yield* entryOf("load");
  const namespace = main.namespace.derefInto();
  const output = yield* step<unknown>(
    () => register.applySync(undefined, [namespace, options.reader ? 1 : 0], limit),
    () => register.apply(undefined, [namespace, options.reader ? 1 : 0], limit),
  );
  const found = readExports(options.key, String(output), canRefuse, columnOf);
  return { entry, readsSettings, syntax, checks, columnOf, ...found };
}

/** Compiles the script and everything that it imports. */
function* compileAll(options: LoadOptions): Generator<
  Step,
  {
    readonly main: ivm.Module;
    readonly resolve: (specifier: string, importer: ivm.Module) => ivm.Module;
    readonly parts: ReadonlyMap<string, Part>;
    readonly syntax: Syntax | null;
    readonly checks: ReadonlyMap<string, string>;
    readonly canRefuse: boolean;
  },
  void
> {
  const { isolate, modules, tenants } = options;
  const start: Part = { key: options.key, text: options.text, checks: options.checks };
  const parts = new Map<string, Part>([[start.key, start]]);
  const imports = new Map<string, readonly string[]>();
  const compiled = new Map<string, ivm.Module>();
  const syntaxes = new Map<string, Syntax>();
  const checks = new Map<string, string>();
  for (const part of parts.values()) {
    const origin = { filename: part.key };
    const compile = function* (text: string): Generator<Step, ivm.Module, void> {
      return yield* step(
        () => isolate.compileModuleSync(named(part.key, text), origin),
        () => isolate.compileModule(named(part.key, text), origin),
      );
    };
    // An examination first compiles the source as it was written, because V8 describes its faults best.
    let module = yield* compile(options.reader ? part.text : withChecks(part.text, part.checks));
    if (options.reader) {
      // After compiling, since V8 describes better what it refuses itself. Nothing has run yet.
      refuseImports(part, module.dependencySpecifiers, options.reader.imports(part.text));
      refuseMany(start, parts);
      const syntax = options.reader.read(part.text);
      if (syntax.problem !== null) throw errorAt(part, syntax.problem);
      syntaxes.set(part.key, syntax);
      checks.set(part.key, syntax.checks);
      if (syntax.checks !== "") module = yield* compile(withChecks(part.text, syntax.checks));
    }
    compiled.set(part.key, module);
    imports.set(part.key, module.dependencySpecifiers);
    for (const specifier of module.dependencySpecifiers) {
      options.onImport?.(specifier.replace(/^modules\//, ""));
      const next = resolveImport(part, specifier, modules, tenants);
      if (!parts.has(specifier)) parts.set(specifier, next);
    }
  }
  refuseCycles(start, parts, imports);
  const script = syntaxes.get(start.key);
  const strange =
    script && options.reader?.strangeExport(script, (specifier) => syntaxes.get(specifier));
  if (strange) throw errorAt(start, strange);
  const moduleOf = (key: string): ivm.Module => {
    const module = compiled.get(key);
    if (module === undefined) throw new Error(`${key} was not compiled`);
    return module;
  };
  return {
    main: moduleOf(start.key),
    resolve: moduleOf,
    parts,
    syntax: script ?? null,
    checks,
    canRefuse: syntaxes.size === 0 || [...syntaxes.values()].some(({ refuses }) => refuses),
  };
}

/** A comment in a source could name the place of its errors; the last one of a text counts. */
function named(key: string, text: string): string {
  return text.includes("sourceURL") ? `${text}\n//# sourceURL=${key}` : text;
}

function readExports(
  key: string,
  text: string,
  canRefuse: boolean,
  columnOf: ColumnOf,
): Omit<Loaded, "entry" | "readsSettings" | "syntax" | "checks" | "columnOf"> {
  const { logs, error, rest } = readOutput(text);
  if (error !== null) throw new ScriptError(faultAt(key, error.message, error.stack, columnOf));
  try {
    const [match, tests, onError, rollout, schedule, takeBack]: unknown[] = JSON.parse(
      rest.slice(1),
    );
    return {
      match: parseMatch(match),
      hasOnRequest: !rest.startsWith("R"),
      hasOnResponse: !rest.startsWith("N"),
      declared: parseDeclared({ onError, rollout, schedule, takeBack, canRefuse }),
      tests,
      logs,
    };
  } catch (caught) {
    const message = caught instanceof Error ? caught.message : String(caught);
    throw new ScriptError({ key, line: 0, column: 0, message });
  }
}

/** Yields one step and returns what it brought. */
function* step<T>(now: () => T, later: () => Promise<T>): Generator<Step, T, void> {
  const box: { value?: T } = {};
  yield {
    now: () => {
      box.value = now();
    },
    later: async () => {
      box.value = await later();
    },
  };
  return box.value as T;
}
