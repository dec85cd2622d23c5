/**
 * Reads a template in the part of Go's template language that tags need (Go documentation, "text/template"):
 * text, fields, functions, pipelines and `if`. Gives a tree; it knows no function and no field.
 */

export interface Template {
  readonly source: string;
  readonly nodes: readonly TemplateNode[];
}

export type TemplateNode =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "print"; readonly pipeline: Pipeline }
  | {
      readonly kind: "if";
      readonly condition: Pipeline;
      readonly yes: readonly TemplateNode[];
      readonly no: readonly TemplateNode[];
    };

/** Each command but the first gets the value of the one before as its last argument. */
export type Pipeline = readonly Command[];

export type Command =
  | { readonly kind: "value"; readonly value: Operand }
  | { readonly kind: "call"; readonly name: string; readonly args: readonly Operand[] };

export type Operand =
  | { readonly kind: "constant"; readonly value: string | number | boolean }
  /** `.Config.Labels`, or `(index .Env "X").Field` of a pipeline; no names: `.` itself. */
  | { readonly kind: "field"; readonly of: Pipeline | null; readonly names: readonly string[] }
  | { readonly kind: "pipeline"; readonly pipeline: Pipeline };

/** The message says what is wrong; of a text, also where. */
export class TemplateError extends Error {
  override readonly name = "TemplateError";
}

interface Token {
  readonly kind: "word" | "field" | "string" | "number" | "(" | ")" | "|";
  readonly text: string;
  /** White space before it: `(x).Field` is one operand, `(x) .Field` two. */
  readonly isApart: boolean;
}

const longest = 4096;
const deepest = 20;
const pieces =
  /(\s*)(?:(?<word>[A-Za-z_]\w*)|(?<field>\.(?:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)?)|(?<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)|(?<number>[+-]?\d+)|(?<mark>[()|]))/y;
const unsupported = ["range", "with", "define", "template", "block", "break", "continue"];

/** Throws a `TemplateError` that says where and what. */
export function parseTemplate(source: string): Template {
  if (source.length > longest) throw new TemplateError(`is longer than ${longest} characters`);
  const parser = new Parser(source);
  const { nodes, end } = parser.nodes(0);
  if (end !== null) throw new TemplateError(`{{${end}}} has no {{if}} before it`);
  return { source, nodes };
}

class Parser {
  readonly #source: string;
  #at = 0;
  /** White space at the front of the next text goes: `-}}`. */
  #trimsNext = false;

  constructor(source: string) {
    this.#source = source;
  }

  /** Up to the end of the source (`end` is null) or to the `{{end}}` or `{{else}}` of the block around. */
  nodes(depth: number): { nodes: TemplateNode[]; end: string | null; rest: readonly Token[] } {
    if (depth > deepest) throw new TemplateError(`has more than ${deepest} blocks in each other`);
    const nodes: TemplateNode[] = [];
    for (;;) {
      const open = this.#source.indexOf("{{", this.#at);
      let text = this.#source.slice(this.#at, open < 0 ? undefined : open);
      if (this.#trimsNext) text = text.trimStart();
      if (open >= 0 && /^\{\{-\s/.test(this.#source.slice(open, open + 4))) text = text.trimEnd();
      if (text !== "") nodes.push({ kind: "text", text });
      if (open < 0) return { nodes, end: null, rest: [] };
      const tokens = this.#action(open);
      // A comment.
      if (tokens === null) continue;
      const [first, ...rest] = tokens;
      if (first?.kind === "word" && (first.text === "end" || first.text === "else"))
        return { nodes, end: first.text, rest };
      if (first?.kind === "word" && unsupported.includes(first.text))
        throw new TemplateError(`{{${first.text}}} is not supported; {{if}} is`);
      if (first?.kind === "word" && first.text === "if") nodes.push(this.#condition(rest, depth));
      else nodes.push({ kind: "print", pipeline: readPipeline(tokens) });
    }
  }

  #condition(tokens: readonly Token[], depth: number): TemplateNode {
    const condition = readPipeline(tokens);
    const then = this.nodes(depth + 1);
    if (then.end === null) throw new TemplateError("{{if}} has no {{end}}");
    if (then.end === "end") return { kind: "if", condition, yes: then.nodes, no: [] };
    const [next, ...rest] = then.rest;
    if (next !== undefined) {
      if (next.kind !== "word" || next.text !== "if")
        throw new TemplateError("takes {{else}} or {{else if ...}}");
      // Its {{end}} is the one of the whole.
      return {
        kind: "if",
        condition,
        yes: then.nodes,
        no: [this.#condition(rest, depth + 1)],
      };
    }
    const otherwise = this.nodes(depth + 1);
    if (otherwise.end !== "end") throw new TemplateError("{{else}} has no {{end}}");
    return { kind: "if", condition, yes: then.nodes, no: otherwise.nodes };
  }

  /** The tokens of the action that opens there; `null`: a comment. */
  #action(open: number): readonly Token[] | null {
    const start = /^-\s/.test(this.#source.slice(open + 2, open + 4)) ? open + 3 : open + 2;
    const comment = /^\s*\/\*.*?\*\/\s*(-?)\}\}/s.exec(this.#source.slice(start));
    if (comment !== null) {
      this.#at = start + comment[0].length;
      this.#trimsNext = comment[1] === "-";
      return null;
    }
    const tokens: Token[] = [];
    let at = start;
    for (;;) {
      const close = /^(?:\s+(-))?\s*\}\}/.exec(this.#source.slice(at, at + longest));
      if (close !== null) {
        this.#at = at + close[0].length;
        this.#trimsNext = close[1] === "-";
        return tokens;
      }
      pieces.lastIndex = at;
      const piece = pieces.exec(this.#source);
      if (piece === null) throw new TemplateError(this.#unread(open, at));
      const { word, field, string, number, mark } = piece.groups ?? {};
      const isApart = piece[1] !== "";
      if (word !== undefined) tokens.push({ kind: "word", text: word, isApart });
      else if (field !== undefined) tokens.push({ kind: "field", text: field, isApart });
      else if (string !== undefined)
        tokens.push({ kind: "string", text: unquoted(string), isApart });
      else if (number !== undefined) tokens.push({ kind: "number", text: number, isApart });
      else if (mark === "(" || mark === ")" || mark === "|")
        tokens.push({ kind: mark, text: mark, isApart });
      at = pieces.lastIndex;
    }
  }

  #unread(open: number, at: number): string {
    const rest = this.#source.slice(at).trim();
    if (rest === "") return `"{{" at character ${open + 1} is not closed by "}}"`;
    if (rest.startsWith("$")) return "has a variable ($); variables are not supported";
    return `cannot be read from ${JSON.stringify(rest.slice(0, 20))} on`;
  }
}

function unquoted(literal: string): string {
  if (literal.startsWith("`")) return literal.slice(1, -1);
  try {
    return String(JSON.parse(literal));
  } catch {
    throw new TemplateError(`${literal} has an escape that is not supported`);
  }
}

function readPipeline(tokens: readonly Token[]): Pipeline {
  const reader = new PipelineReader(tokens);
  const pipeline = reader.pipeline(0);
  reader.expectEnd();
  return pipeline;
}

class PipelineReader {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  pipeline(depth: number): Pipeline {
    if (depth > deepest) throw new TemplateError(`has more than ${deepest} brackets in each other`);
    const commands = [this.#command(depth)];
    while (this.#tokens[this.#at]?.kind === "|") {
      this.#at += 1;
      const command = this.#command(depth);
      if (command.kind !== "call")
        throw new TemplateError('has no function behind "|" to pass the value to');
      commands.push(command);
    }
    return commands;
  }

  expectEnd(): void {
    const token = this.#tokens[this.#at];
    if (token !== undefined)
      throw new TemplateError(`has a ${JSON.stringify(token.text)} too many`);
  }

  #command(depth: number): Command {
    const first = this.#tokens[this.#at];
    if (first === undefined) throw new TemplateError("has an empty {{ }} or nothing beside a |");
    if (first.kind === "word" && first.text !== "true" && first.text !== "false") {
      this.#at += 1;
      return { kind: "call", name: first.text, args: this.#operands(depth) };
    }
    const [value, ...others] = this.#operands(depth);
    if (value === undefined) throw new TemplateError("has nothing inside of ( ) or beside a |");
    if (others.length > 0)
      throw new TemplateError(
        `gives arguments to ${JSON.stringify(first.text)}, which is no function`,
      );
    return { kind: "value", value };
  }

  #operands(depth: number): readonly Operand[] {
    const operands: Operand[] = [];
    for (;;) {
      const token = this.#tokens[this.#at];
      if (token === undefined || token.kind === "|" || token.kind === ")") return operands;
      this.#at += 1;
      operands.push(this.#operand(token, depth));
    }
  }

  #operand(token: Token, depth: number): Operand {
    switch (token.kind) {
      case "field":
        return { kind: "field", of: null, names: namesIn(token.text) };
      case "string":
        return { kind: "constant", value: token.text };
      case "number":
        return { kind: "constant", value: Number(token.text) };
      case "word":
        if (token.text === "true" || token.text === "false")
          return { kind: "constant", value: token.text === "true" };
        return { kind: "pipeline", pipeline: [{ kind: "call", name: token.text, args: [] }] };
      default: {
        const pipeline = this.pipeline(depth + 1);
        if (this.#tokens[this.#at]?.kind !== ")")
          throw new TemplateError('has a "(" without its ")"');
        this.#at += 1;
        const next = this.#tokens[this.#at];
        if (next?.kind !== "field" || next.isApart) return { kind: "pipeline", pipeline };
        this.#at += 1;
        return { kind: "field", of: pipeline, names: namesIn(next.text) };
      }
    }
  }
}

function namesIn(field: string): readonly string[] {
  return field.split(".").filter((name) => name !== "");
}
