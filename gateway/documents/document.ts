/**
 * Turns the text of a value in KV into a checked document: size, JSON, schema, and one clear line when something is
 * wrong. It does not know what documents mean.
 */
import type * as z from "zod";
import { DocumentError } from "./document-error.ts";
import { meantField } from "./field-hint.ts";
import { findJsonFault, findLostName, type JsonFault } from "./json-fault.ts";

/** Consul's own limit for a value (KV Store API page, "Create/Update Key"). */
export const maxDocumentBytes = 512 * 1024;

/**
 * Parses the JSON in `text`. Throws a `DocumentError` when it is too large or not JSON, and when two fields of an object
 * have one name: whoever wrote them meant both.
 */
export function parseJson(key: string, text: string): unknown {
  const bytes = Buffer.byteLength(text);
  if (bytes > maxDocumentBytes)
    throw new DocumentError("too_large", key, `${bytes} bytes are above ${maxDocumentBytes}`);
  const value = jsonIn(key, text);
  const lost = findLostName(text);
  if (lost !== null) throw new DocumentError("bad_json", key, `${spot(lost)}: ${lost.problem}`);
  return value;
}

function jsonIn(key: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const fault = findJsonFault(text);
    const where = fault === null ? "" : ` ${spot(fault)}`;
    const problem = fault === null ? String(error) : fault.problem;
    throw new DocumentError("bad_json", key, `is not JSON${where}: ${problem}`);
  }
}

function spot({ line, column }: JsonFault): string {
  return `at line ${line}, column ${column}`;
}

/**
 * How many faults in one document are listed; for a generated document with a thousand, the first ones are enough.
 */
const maxProblems = 10;
/** How many characters of each fault are shown, since names in it may be as long as the document. */
const maxProblemLength = 400;

/** Says in one line what is wrong with a document. */
export function listProblems(problems: readonly string[]): string {
  return tell(problems, problems.length);
}

function tell(problems: readonly string[], count: number): string {
  const told = problems.slice(0, maxProblems).map(cut).join("; ");
  const more = count - maxProblems;
  return more > 0 ? `${told}; and ${more} more` : told;
}

/**
 * Checks `value` against `schema`. Throws a `DocumentError` that names every bad field.
 * @param isSecret whether a private key may be anywhere in it: then the error repeats nothing of it.
 */
export function checkDocument<Schema extends z.ZodType>(
  key: string,
  value: unknown,
  schema: Schema,
  isSecret = false,
): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const { issues } = result.error;
  // Describing each fault takes time, and a completely wrong document can have a hundred thousand.
  const described = issues.slice(0, maxProblems + 1);
  const problems = described.flatMap((issue) =>
    describeIssue(issue, { value, schema, isSecret }, []),
  );
  const count = problems.length + issues.length - described.length;
  throw new DocumentError("bad_document", key, tell(problems, count));
}

function cut(problem: string): string {
  return problem.length > maxProblemLength ? `${problem.slice(0, maxProblemLength)}...` : problem;
}

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

/** A document, and what it should be. */
interface Root {
  readonly value: unknown;
  readonly schema: z.ZodType;
  readonly isSecret: boolean;
}

/** Returns one text, or one for each inner fault. For a union, these are the faults in the branch that fits best. */
function describeIssue(issue: Issue, root: Root, above: Path): string[] {
  const path = [...above, ...issue.path];
  if (issue.code === "invalid_union") {
    const [branch] = issue.errors
      .filter((issues) => !issues.some((one) => isOfOtherType(one)))
      .sort((a, b) => countUnknown(a) - countUnknown(b) || a.length - b.length);
    if (branch !== undefined && branch.length > 0)
      return branch.flatMap((inner) => describeIssue(inner, root, path));
  }
  const where = spellPath(path);
  const value = valueAt(root.value, path);
  const problem =
    issue.code === "unrecognized_keys"
      ? `unknown field${issue.keys.length > 1 ? "s" : ""} ${listUnknown(issue.keys, root, path)}`
      : describeProblem(issue, value, root.isSecret ? hide : show);
  return [where === "" ? problem : `${where}: ${problem}`];
}

/** How many fields the branch does not have; who wrote them meant another one. */
function countUnknown(issues: readonly Issue[]): number {
  return issues.reduce(
    (sum, issue) => sum + (issue.code === "unrecognized_keys" ? issue.keys.length : 0),
    0,
  );
}

/** Whether the value does not even have the type that a branch of a union wants. */
function isOfOtherType({ code, path }: Issue): boolean {
  return path.length === 0 && (code === "invalid_type" || code === "invalid_value");
}

function describeProblem(issue: Issue, value: unknown, say: (value: unknown) => string): string {
  switch (issue.code) {
    case "too_big":
      return issue.origin === "number" || issue.origin === "int"
        ? `${say(value)} is above ${issue.maximum}`
        : `has more than ${issue.maximum} ${unitOf(issue.origin)}`;
    case "too_small":
      if (issue.origin === "number" || issue.origin === "int")
        return `${say(value)} is below ${issue.minimum}`;
      return Number(issue.minimum) === 1
        ? "is empty"
        : `has fewer than ${issue.minimum} ${unitOf(issue.origin)}`;
    case "invalid_type":
      if (value === undefined) return "is missing";
      return `${say(value)} is not ${nameType(issue.expected)}${numberIn(value, issue.expected)}`;
    case "invalid_value":
      return `${say(value)} is not ${listChoices(issue.values)}`;
    case "invalid_union": {
      // Of objects that one of their fields tells apart.
      const choices = "options" in issue && Array.isArray(issue.options) ? issue.options : [];
      if (choices.length === 0)
        return value === undefined ? "is missing" : `${say(value)} ${issue.message}`;
      return value === undefined
        ? `is missing: it is ${listChoices(choices)}`
        : `${say(value)} is not ${listChoices(choices)}`;
    }
    case "invalid_key":
      return issue.issues[0]?.message ?? issue.message;
    case "custom":
      return issue.message;
    default:
      return `${say(value)} ${issue.message}`;
  }
}

function listUnknown(names: readonly string[], { schema, isSecret }: Root, path: Path): string {
  const told = names.slice(0, maxProblems).map((name) => {
    const meant = meantField(schema, path, name);
    // No field has a longer name, and a key may have come to stand in its place.
    if (isSecret && name.length > 32) return `with ${name.length} characters`;
    if (meant === null) return show(name);
    // A protocol or a form of the document that this is not has the field.
    if (meant === name) return `${show(name)} (others have it, this one does not)`;
    return `${show(name)} (did you mean ${show(meant)}?)`;
  });
  const more = names.length - maxProblems;
  return more > 0 ? `${told.join(", ")} and ${more} more` : told.join(", ");
}

function listChoices(values: readonly unknown[]): string {
  const told = values.map(show).join(", ");
  return values.length === 1 ? told : `one of ${told}`;
}

/** What to write instead of a text where a number is expected. */
function numberIn(value: unknown, expected: string): string {
  if (typeof value !== "string" || (expected !== "number" && expected !== "int")) return "";
  const [, digits, unit] = /^([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h|%|)$/.exec(value) ?? [];
  if (digits === undefined || unit === undefined) return "";
  if (unit === "" || unit === "%") return `: write ${digits}, without quotes`;
  const seconds =
    (Number(digits) * { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[unit as "ms"]) / 1_000;
  return `: write ${seconds}, which is in seconds`;
}

function unitOf(origin: string): string {
  if (origin === "string") return "characters";
  return origin === "array" ? "entries" : "fields";
}

function nameType(expected: string): string {
  const names: Record<string, string> = {
    int: "a whole number",
    number: "a number",
    string: "a text",
    boolean: "true or false",
    array: "a list",
    object: "an object",
    record: "an object",
  };
  return names[expected] ?? expected;
}

/** A value as JSON on one line, cut when it is long. */
function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** Stands for `show` where values may be secret. */
function hide(_value: unknown): string {
  return "its value";
}

/** `servers[1].port`. A name that is not an identifier is quoted: `paths["/api"].upstream`. */
function spellPath(path: Path): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else if (/^[A-Za-z_]\w*$/.test(String(part)))
      text += `${text === "" ? "" : "."}${String(part)}`;
    else text += `[${show(String(part))}]`;
  }
  return text;
}

function valueAt(root: unknown, path: Path): unknown {
  let value = root;
  for (const part of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part))
      return undefined;
    value = Reflect.get(value, part);
  }
  return value;
}
