/**
 * Finds in the syntax of a source what no source may have: asynchronous code, because a script answers at once and
 * isolated-vm looks at a rejected promise only after the time limit is over; BigInt, because V8 multiplies millions
 * of digits without a look at the clock; exports without a meaning. Comments and texts may contain all of it. Only
 * the process that examines sources loads this: a worker has no memory for a parser, and a source can make one slow.
 */
import { type AnyNode, type Program, parse } from "acorn";
import type { Found, Imports, SourceReader, Syntax } from "../run/source-reader.ts";
import { maxCases } from "./cases.ts";
import { strangeExport } from "./export-names.ts";
import { growthOf, isNode } from "./growth.ts";
import { importsIn } from "./imports.ts";

/** The findings that are remembered take about as much memory as the sources' texts. */
const maxKnownChars = 16_777_216;

/** Of processor time. The longest source that a person writes takes a third of it. */
const maxParseMs = 1_000;
const tokensPerLook = 1_024;

/** A script can end a request with one of these, or with the object of all globals. */
const verdicts: ReadonlySet<string> = new Set(["deny", "respond", "redirect", "globalThis"]);

/** Reads sources, and remembers what it found in the last ones: many scripts share a large module. */
export class SyntaxReader implements SourceReader {
  readonly #known = new Map<string, Syntax>();
  #chars = 0;

  imports(text: string): Imports {
    return importsIn(text);
  }

  strangeExport(script: Syntax, syntaxOf: (specifier: string) => Syntax | undefined): Found | null {
    return strangeExport(script, syntaxOf);
  }

  read(text: string): Syntax {
    const known = this.#known.get(text);
    if (known !== undefined) return known;
    const syntax = readSyntax(text);
    this.#known.set(text, syntax);
    this.#chars += text.length;
    for (const [oldest] of this.#known) {
      if (this.#chars <= maxKnownChars || oldest === text) break;
      this.#known.delete(oldest);
      this.#chars -= oldest.length;
    }
    return syntax;
  }
}

function readSyntax(text: string): Syntax {
  try {
    const program = parse(text, {
      ecmaVersion: "latest",
      sourceType: "module",
      onToken: withinTime(),
    });
    const { problem, refuses } = findIn(program);
    const growth = growthOf(program);
    const found = { problem: problem ?? growth.problem, refuses, checks: growth.checks };
    return { ...found, ...exportsOf(program), cases: casesOf(program) };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const index = "pos" in error ? Number(error.pos) : 0;
    const end = error.message.lastIndexOf(" (");
    const message = `SyntaxError: ${end === -1 ? error.message : error.message.slice(0, end)}`;
    const problem = { index, message };
    return { problem, exports: new Map(), wholes: new Map(), cases: [], checks: "", refuses: true };
  }
}

/** Throws when reading takes too long: the parser compares each name of a scope with all others in it. */
function withinTime(): () => void {
  const began = process.cpuUsage();
  let tokens = 0;
  return () => {
    tokens += 1;
    if (tokens % tokensPerLook !== 0) return;
    const { user, system } = process.cpuUsage(began);
    if ((user + system) / 1_000 <= maxParseMs) return;
    throw new SyntaxError(`reading it takes more than ${maxParseMs} ms of processor time`);
  };
}

function exportsOf(program: Program): Pick<Syntax, "exports" | "wholes"> {
  const exports = new Map<string, number>();
  const wholes = new Map<string, number>();
  for (const statement of program.body) {
    if (statement.type === "ExportDefaultDeclaration") exports.set("default", statement.start);
    if (statement.type === "ExportNamedDeclaration") {
      for (const { exported } of statement.specifiers)
        exports.set(nameOf(exported), exported.start);
      const { declaration } = statement;
      if (declaration?.type === "VariableDeclaration") {
        for (const { id } of declaration.declarations) {
          for (const one of bound(id)) exports.set(...one);
        }
      } else if (declaration != null) {
        exports.set(declaration.id.name, declaration.id.start);
      }
    }
    if (statement.type !== "ExportAllDeclaration") continue;
    const { exported, source, start } = statement;
    if (exported == null) wholes.set(String(source.value), start);
    else exports.set(nameOf(exported), exported.start);
  }
  return { exports, wholes };
}

function casesOf(program: Program): readonly (readonly [number, number])[] {
  for (const statement of program.body) {
    if (statement.type !== "ExportNamedDeclaration") continue;
    if (statement.declaration?.type !== "VariableDeclaration") continue;
    for (const { id, init } of statement.declaration.declarations) {
      if (id.type !== "Identifier" || id.name !== "tests") continue;
      if (init?.type !== "ArrayExpression") return [];
      const { elements } = init;
      // After a spread the positions of cases are unknown.
      const end = elements.findIndex((one) => one === null || one.type === "SpreadElement");
      const known = end === -1 ? elements : elements.slice(0, end);
      return known
        .filter((one) => one !== null)
        .slice(0, maxCases)
        .map((one) => [one.start, one.end]);
    }
  }
  return [];
}

/** `problem`: the first of the program's nodes, in the order of the text, that a script may not have. */
function findIn(program: Program): Pick<Syntax, "problem" | "refuses"> {
  let first: Found | null = null;
  let refuses = false;
  // Without recursion: what the parser could nest must not be too deep for this.
  const open: AnyNode[] = [program];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    const message = refusalOf(node);
    if (message !== null && (first === null || node.start < first.index)) {
      first = { index: node.start, message };
    }
    if (node.type === "Identifier" && verdicts.has(node.name)) refuses = true;
    const name = nameOnly(node);
    for (const value of Object.values(node)) {
      // What is called so: `expect: { deny: 403 }` refuses nothing.
      if (value === name && name?.type === "Identifier") continue;
      if (Array.isArray(value)) for (const each of value) if (isNode(each)) open.push(each);
      if (isNode(value)) open.push(value);
    }
  }
  return { problem: first, refuses };
}

/** The part of a node that only names a property; `null` when it has none. */
function nameOnly(node: AnyNode): AnyNode | null {
  switch (node.type) {
    case "MemberExpression":
      return node.computed ? null : node.property;
    case "Property":
      return node.computed || node.shorthand ? null : node.key;
    case "MethodDefinition":
    case "PropertyDefinition":
      return node.computed ? null : node.key;
    default:
      return null;
  }
}

function refusalOf(node: AnyNode): string | null {
  const late = (what: string) => `${what} not available: a script answers at once`;
  switch (node.type) {
    case "FunctionDeclaration":
    case "FunctionExpression":
    case "ArrowFunctionExpression":
      return node.async ? late("async is") : null;
    // A method's function begins after its name.
    case "Property":
    case "MethodDefinition":
      return isNode(node.value) && "async" in node.value && node.value.async
        ? late("async is")
        : null;
    case "AwaitExpression":
      return late("await is");
    case "ForOfStatement":
      return node.await ? late("await is") : null;
    case "VariableDeclaration":
      return node.kind === "await using" ? late("await is") : null;
    case "ImportExpression":
      return late("import() and import.meta are");
    case "MetaProperty":
      return node.meta.name === "import" ? late("import() and import.meta are") : null;
    case "Literal":
      if (node.regex) return refusalOfPattern(node.regex.pattern, node.regex.flags);
      return node.bigint == null ? null : `${(node.raw ?? "").slice(0, 64)}: there is no BigInt`;
    default:
      return null;
  }
}

/**
 * V8 compiles a regular expression in one go when it first runs, which may be long after the examination. So a literal
 * has the same bounds as a pattern that a script makes from a text (`inside/bounds-of-patterns.js`).
 */
function refusalOfPattern(pattern: string, flags: string): string | null {
  const isUnicode = /[uv]/.test(flags);
  if (pattern.length > (isUnicode ? 1_024 : 8_192)) {
    return "a regular expression has at most 8,192 characters, 1,024 with the flags u and v";
  }
  if (pattern.replace(/[^(*+?{]/g, "").length > 1_000) {
    return "a regular expression has at most 1,000 groups and repetitions";
  }
  if (isUnicode && /RGI_|Basic_Emoji|Keycap_Sequence/.test(pattern)) {
    return "a regular expression has properties of characters, not of texts such as RGI_Emoji";
  }
  return null;
}

/** The names that a declaration's pattern binds. */
function bound(pattern: AnyNode): readonly (readonly [string, number])[] {
  const names: (readonly [string, number])[] = [];
  const open: (AnyNode | null)[] = [pattern];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (node === null) continue;
    if (node.type === "Identifier") names.push([node.name, node.start]);
    if (node.type === "ObjectPattern") open.push(...node.properties);
    if (node.type === "Property") open.push(node.value);
    if (node.type === "ArrayPattern") open.push(...node.elements);
    if (node.type === "AssignmentPattern") open.push(node.left);
    if (node.type === "RestElement") open.push(node.argument);
  }
  return names;
}

function nameOf(node: { readonly type: string } & AnyNode): string {
  if (node.type === "Identifier") return node.name;
  return node.type === "Literal" ? String(node.value) : "";
}
