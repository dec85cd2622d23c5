/**
 * The rules of Traefik's routers, as far as they are about hosts and paths: `Host(`a`) && (PathPrefix(`/x`) || Path(`/y`))`
 * (Traefik documentation, "Routers", "Rule"). No regular expression from a tag is ever run.
 */
import { pathProblem, readHost, shown } from "./claim.ts";

/** One way to match a rule. `null`: the rule does not restrict it. */
export interface Alternative {
  readonly host: string | null;
  readonly path: string | null;
  readonly isExact: boolean;
}

/** Why a rule makes no route. */
export class RuleError extends Error {
  override readonly name = "RuleError";
}

/** What a rule may come to. */
const maxAlternatives = 100;
const maxDepth = 16;

/** All ways to match it. Throws a `RuleError`. */
export function readRule(text: string): readonly Alternative[] {
  const parser = new Parser(tokensOf(text));
  const alternatives = parser.either(0);
  parser.end();
  return alternatives;
}

type Token =
  | { readonly kind: "mark"; readonly text: string }
  | { readonly kind: "name"; readonly text: string }
  | { readonly kind: "string"; readonly text: string };

const token = /\s*(?:(&&|\|\||[(),!])|([A-Za-z]+)|`([^`]*)`|"([^"\\]*)")/y;

function tokensOf(text: string): readonly Token[] {
  const tokens: Token[] = [];
  const end = text.trimEnd().length;
  token.lastIndex = 0;
  while (token.lastIndex < end) {
    const at = token.lastIndex;
    const found = token.exec(text);
    if (found === null) throw new RuleError(`${shown(text.slice(at))} cannot be read`);
    const [, mark, name, ticked, quoted = ""] = found;
    if (mark !== undefined) tokens.push({ kind: "mark", text: mark });
    else if (name !== undefined) tokens.push({ kind: "name", text: name });
    else tokens.push({ kind: "string", text: ticked ?? quoted });
  }
  return tokens;
}

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  either(depth: number): readonly Alternative[] {
    const all = [...this.#both(depth)];
    while (this.#takes("||")) all.push(...this.#both(depth));
    return bounded(all);
  }

  end(): void {
    const left = this.#tokens[this.#at];
    if (left !== undefined) throw new RuleError(`${shown(left.text)} is not expected`);
  }

  #both(depth: number): readonly Alternative[] {
    let all = this.#one(depth);
    while (this.#takes("&&")) {
      const others = this.#one(depth);
      all = bounded(all.flatMap((one) => others.flatMap((other) => joined(one, other) ?? [])));
    }
    return all;
  }

  #one(depth: number): readonly Alternative[] {
    if (depth > maxDepth) throw new RuleError("it is nested too deeply");
    if (this.#takes("!")) throw new RuleError("! is not known");
    if (this.#takes("(")) {
      const inner = this.either(depth + 1);
      this.#expect(")");
      return inner;
    }
    const name = this.#tokens[this.#at];
    if (name?.kind !== "name") throw new RuleError("a matcher such as Host(`...`) is missing");
    this.#at += 1;
    const read = Object.hasOwn(matchers, name.text) ? matchers[name.text] : undefined;
    if (read === undefined) throw new RuleError(`${name.text}() is not known`);
    return this.#values().map(read);
  }

  #values(): readonly string[] {
    this.#expect("(");
    const values: string[] = [];
    do {
      const value = this.#tokens[this.#at];
      if (value?.kind !== "string") throw new RuleError("a value in backticks is missing");
      values.push(value.text);
      this.#at += 1;
    } while (this.#takes(","));
    this.#expect(")");
    return values;
  }

  #takes(mark: string): boolean {
    const next = this.#tokens[this.#at];
    if (next?.kind !== "mark" || next.text !== mark) return false;
    this.#at += 1;
    return true;
  }

  #expect(mark: string): void {
    if (!this.#takes(mark)) throw new RuleError(`${mark} is missing`);
  }
}

const matchers: Readonly<Record<string, (value: string) => Alternative>> = {
  Host: host,
  HostHeader: host,
  PathPrefix: (value) => ({ host: null, path: path(value), isExact: false }),
  Path: (value) => ({ host: null, path: path(value), isExact: true }),
};

function host(value: string): Alternative {
  const read = readHost(value);
  if (read === null || read.startsWith("*"))
    throw new RuleError(`Host(${shown(value)}) is not a host`);
  return { host: read, path: null, isExact: false };
}

function path(value: string): string {
  if (/[{}]/.test(value)) throw new RuleError(`the path ${shown(value)} has a pattern`);
  const problem = pathProblem(value);
  if (problem !== null) throw new RuleError(`the path ${shown(value)} ${problem}`);
  return value;
}

function bounded(all: readonly Alternative[]): readonly Alternative[] {
  if (all.length > maxAlternatives)
    throw new RuleError(`it has more than ${maxAlternatives} alternatives`);
  return all;
}

/** The ways that match both; `null`: there is none. */
function joined(one: Alternative, other: Alternative): Alternative | null {
  if (one.host !== null && other.host !== null && one.host !== other.host) return null;
  const paths = joinedPath(one, other);
  return paths === null ? null : { ...paths, host: one.host ?? other.host };
}

function joinedPath(
  one: Alternative,
  other: Alternative,
): Pick<Alternative, "path" | "isExact"> | null {
  if (one.path === null) return other;
  if (other.path === null) return one;
  const [longer, shorter] = one.path.length >= other.path.length ? [one, other] : [other, one];
  const covers = longer.path?.startsWith(shorter.path ?? "") === true;
  const isOne = longer.path === shorter.path;
  if (!covers || (shorter.isExact && !isOne)) return null;
  return { path: longer.path, isExact: longer.isExact || (isOne && shorter.isExact) };
}
