/**
 * The functions of a template: Go's own that make sense for a tag, and those that gliderlabs/registrator adds for
 * `-tags`. None leaves the process.
 */
import { TemplateError } from "./parse.ts";

/** A record is a struct, whose fields are known; a Map may have any key. `undefined`: what a Map has not. */
export type Value =
  | string
  | number
  | boolean
  | undefined
  | readonly Value[]
  | ReadonlyMap<string, Value>
  | { readonly [field: string]: Value };

export interface TemplateFunction {
  readonly least: number;
  readonly most: number;
  run(args: readonly Value[]): Value;
}

/** What a pattern is tried on, which a container may have chosen. */
const longestMatched = 256;
/** Go's engine does not backtrack; JavaScript's takes ever longer with each repetition that may. */
const mostRepetitions = 2;

export const functions: ReadonlyMap<string, TemplateFunction> = new Map(
  Object.entries<TemplateFunction>({
    index: many(1, ([from, ...keys]) => keys.reduce(elementAt, from)),
    slice: many(1, sliceOf, 3),
    len: exactly(1, ([of]) => lengthOf(of)),
    print: many(0, (args) => args.map(textOf).join("")),
    printf: many(1, printf),
    eq: many(2, ([one, ...others]) => others.some((other) => isSame(one, other))),
    ne: exactly(2, ([one, other]) => !isSame(one, other)),
    not: exactly(1, ([value]) => !isTrue(value)),
    and: many(1, (args) =>
      args.every(isTrue) ? args.at(-1) : args.find((value) => !isTrue(value)),
    ),
    or: many(1, (args) => args.find(isTrue) ?? args.at(-1)),
    strSlice: many(1, strSlice, 3),
    sIndex: exactly(2, ([at, list]) => fromEnds(strings(list), whole(at))),
    mIndex: exactly(2, ([key, map]) => elementAt(map, string(key))),
    toUpper: exactly(1, ([text]) => string(text).toUpperCase()),
    toLower: exactly(1, ([text]) => string(text).toLowerCase()),
    replace: exactly(4, replaced),
    join: exactly(2, ([separator, list]) => strings(list).join(string(separator))),
    split: exactly(2, ([separator, text]) => string(text).split(string(separator))),
    splitIndex: exactly(3, ([at, separator, text]) =>
      fromEnds(string(text).split(string(separator)), whole(at)),
    ),
    matchFirstElement: exactly(2, (args) => matches(args)[0] ?? ""),
    matchAllElements: exactly(2, (args) => matches(args)),
    jsonParse: exactly(2, ([text, path]) => jsonAt(string(text), string(path))),
  }),
);

/** Why a function of Go's or of gliderlabs/registrator is not there, where that needs a word. */
export const refusedFunctions: Readonly<Record<string, string>> = {
  httpGet: "is refused: a registration does not wait for another server",
};

function exactly(count: number, run: TemplateFunction["run"]): TemplateFunction {
  return { least: count, most: count, run };
}

function many(least: number, run: TemplateFunction["run"], most = 100): TemplateFunction {
  return { least, most, run };
}

/** As Go prints it; lists and maps only as far as people put them into tags. */
export function textOf(value: Value): string {
  if (value === undefined) return "";
  if (typeof value !== "object") return String(value);
  if (isList(value)) return `[${value.map(textOf).join(" ")}]`;
  if (isMap(value)) {
    const pairs = [...value].sort(([a], [b]) => (a < b ? -1 : 1));
    return `map[${pairs.map(([key, one]) => `${key}:${textOf(one)}`).join(" ")}]`;
  }
  throw new TemplateError("prints a whole structure; name one of its fields");
}

/** Go's truth: not false, 0 or empty. */
export function isTrue(value: Value): boolean {
  if (isList(value)) return value.length > 0;
  if (isMap(value)) return value.size > 0;
  return Boolean(value);
}

export function isMap(value: Value): value is ReadonlyMap<string, Value> {
  return value instanceof Map;
}

export function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

function elementAt(from: Value, key: Value): Value {
  if (from === undefined) return undefined;
  if (isMap(from)) return from.get(string(key));
  if (!isList(from) && typeof from !== "string")
    throw new TemplateError("takes the index of something that is no list and no map");
  const at = whole(key);
  if (at < 0 || at >= from.length)
    throw new TemplateError(`takes index ${at} of something with ${from.length} elements`);
  return from[at];
}

function sliceOf([of, from = 0, to]: readonly Value[]): Value {
  if (!isList(of) && typeof of !== "string")
    throw new TemplateError("takes a slice of something that is no text and no list");
  const [first, last] = [whole(from), to === undefined ? of.length : whole(to)];
  if (first < 0 || first > last || last > of.length)
    throw new TemplateError(`takes ${first} to ${last} of something with ${of.length} elements`);
  return of.slice(first, last);
}

function lengthOf(value: Value): number {
  if (typeof value === "string" || isList(value)) return value.length;
  if (isMap(value)) return value.size;
  throw new TemplateError("takes the length of something that has none");
}

function printf([format, ...args]: readonly Value[]): string {
  let next = 0;
  const text = string(format).replaceAll(/%(.?)/gs, (_, verb: string) => {
    if (verb === "%") return "%";
    if (!["s", "d", "v", "q"].includes(verb))
      throw new TemplateError(`printf knows %s, %d, %v, %q and %%, not %${verb}`);
    if (next >= args.length) throw new TemplateError("printf has fewer arguments than verbs");
    const value = args[next++];
    if (verb === "d") return String(whole(value));
    return verb === "q" ? JSON.stringify(textOf(value)) : textOf(value);
  });
  if (next < args.length) throw new TemplateError("printf has more arguments than verbs");
  return text;
}

function isSame(one: Value, other: Value): boolean {
  if (typeof (one ?? "") === "object" || typeof (other ?? "") === "object")
    throw new TemplateError("compares a list, a map or a structure");
  return (one ?? "") === (other ?? "");
}

/** gliderlabs/registrator's: what does not fit gives the whole text. */
function strSlice([of, from, to]: readonly Value[]): string {
  const text = string(of);
  const first = from === undefined ? 0 : whole(from);
  const last = to === undefined ? text.length : whole(to);
  if (first < 0 || last < 0 || first > text.length || last > text.length) return text;
  return last < first ? text.slice(first) : text.slice(first, last);
}

/** A negative one counts from the end; one that is too far gives the outermost. */
function fromEnds(list: readonly string[], at: number): string {
  const wanted = at < 0 ? Math.max(0, list.length + at) : Math.min(at, list.length - 1);
  return list[wanted] ?? "";
}

function replaced([count, from, to, text]: readonly Value[]): string {
  const parts = string(text).split(string(from));
  const most = whole(count);
  if (most < 0 || most >= parts.length - 1) return parts.join(string(to));
  const rest = parts.slice(most).join(string(from));
  return [...parts.slice(0, most), rest].join(string(to));
}

function matches([pattern, list]: readonly Value[]): readonly string[] {
  const expression = compiled(string(pattern));
  return strings(list).filter((text) => expression.test(text.slice(0, longestMatched)));
}

function compiled(pattern: string): RegExp {
  if (!isBounded(pattern))
    throw new TemplateError(
      `has the pattern ${JSON.stringify(pattern)}; at most ${mostRepetitions} repetitions, none of a group, and no references are supported`,
    );
  try {
    return new RegExp(pattern, "u");
  } catch {
    throw new TemplateError(`has a pattern that cannot be read: ${JSON.stringify(pattern)}`);
  }
}

/** Few repetitions, none of a group, and nothing that refers to another part or looks around. */
function isBounded(pattern: string): boolean {
  let repetitions = 0;
  let isInClass = false;
  for (let at = 0, before = ""; at < pattern.length; at++) {
    const character = pattern[at] ?? "";
    if (character === "\\") {
      at += 1;
      if (/[1-9k]/.test(pattern[at] ?? "")) return false;
    } else if (isInClass) isInClass = character !== "]";
    else if (character === "[") isInClass = true;
    else if (character === "(" && pattern[at + 1] === "?") {
      if (pattern[at + 2] !== ":") return false;
      at += 2;
    } else if ("*+?{".includes(character)) {
      repetitions += 1;
      if (before === ")" || repetitions > mostRepetitions) return false;
    }
    before = character;
  }
  return true;
}

function jsonAt(text: string, path: string): string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new TemplateError("jsonParse is given something that is no JSON");
  }
  for (const key of path.split("::"))
    value = typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined;
  if (value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

function string(value: Value): string {
  if (value === undefined) return "";
  if (typeof value === "string") return value;
  throw new TemplateError(`takes a text, not ${typeof value === "object" ? "a list" : value}`);
}

function strings(value: Value): readonly string[] {
  if (value === undefined) return [];
  if (!isList(value)) throw new TemplateError("takes a list, not a single value");
  return value.map(string);
}

function whole(value: Value): number {
  if (typeof value === "number") return value;
  throw new TemplateError(`takes a number, not ${JSON.stringify(value)}`);
}
