/**
 * Finds where a text stops being JSON, for texts that `JSON.parse` refused: V8's own messages give a position for some
 * faults and none for others, and quote the text. And finds the names that `JSON.parse` takes, and that would be lost
 * without a word.
 */

export interface JsonFault {
  /** Both count from 1. Columns count UTF-16 units, as editors do. */
  readonly line: number;
  readonly column: number;
  readonly problem: string;
}

const scalar =
  /"(?:[ !#-[\]-\uffff]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;
const space = /[ \t\n\r]*/y;

/** What may come next: RFC 8259 section 2 as a machine with a stack of open brackets. */
type Expected = "value" | "value or ]" | "name or }" | "name" | ":" | ", or ]" | ", or }" | "end";

const wording: Record<Expected, string> = {
  value: "a value",
  "value or ]": 'a value or "]"',
  "name or }": 'a field name in double quotes or "}"',
  name: "a field name in double quotes",
  ":": '":"',
  ", or ]": '"," or "]"',
  ", or }": '"," or "}"',
  end: "the end",
};

/** The first fault in `text`; `null` when it is valid JSON after all. */
export function findJsonFault(text: string): JsonFault | null {
  const open: string[] = [];
  let expected: Expected = "value";
  let at = 0;
  const afterValue = (): Expected =>
    open.length === 0 ? "end" : open.at(-1) === "[" ? ", or ]" : ", or }";

  for (;;) {
    space.lastIndex = at;
    space.test(text);
    at = space.lastIndex;
    const found = text[at];
    if (found === undefined) return expected === "end" ? null : fault(text, at, expected);
    const wantsValue = expected === "value" || expected === "value or ]";
    const closes =
      (found === "]" && (expected === "value or ]" || expected === ", or ]")) ||
      (found === "}" && (expected === "name or }" || expected === ", or }"));
    if (closes) {
      open.pop();
      expected = afterValue();
      at += 1;
    } else if (wantsValue && (found === "[" || found === "{")) {
      open.push(found);
      expected = found === "[" ? "value or ]" : "name or }";
      at += 1;
    } else if (found === "," && (expected === ", or ]" || expected === ", or }")) {
      expected = expected === ", or ]" ? "value" : "name";
      at += 1;
    } else if (found === ":" && expected === ":") {
      expected = "value";
      at += 1;
    } else {
      const wantsName: boolean = expected === "name" || expected === "name or }";
      scalar.lastIndex = at;
      if ((!wantsValue && !(wantsName && found === '"')) || !scalar.test(text))
        return fault(text, at, expected);
      expected = wantsName ? ":" : afterValue();
      at = scalar.lastIndex;
    }
  }
}

/** All of valid JSON that says where an object begins and ends, and what its names are. */
const structure = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],]/g;

/**
 * The first name in `text`, which is valid JSON, that its object has already, or that no object can have; `null`: there
 * is none. Of two fields with one name `JSON.parse` keeps the later one (RFC 8259 section 4).
 */
export function findLostName(text: string): JsonFault | null {
  /** Of each open object, the names so far; `null` for a list. */
  const open: (Set<string> | null)[] = [];
  let isName = false;
  for (const { 0: found, index } of text.matchAll(structure)) {
    if (found === "{" || found === "[") {
      open.push(found === "{" ? new Set() : null);
      isName = found === "{";
    } else if (found === "}" || found === "]") {
      open.pop();
      isName = false;
    } else if (found === ",") {
      isName = open.at(-1) != null;
    } else if (isName) {
      isName = false;
      const name: string = found.includes("\\") ? JSON.parse(found) : found.slice(1, -1);
      const shown = name.length > 60 ? `${name.slice(0, 57)}...` : name;
      const names = open.at(-1);
      if (name === "__proto__")
        return { ...place(text, index), problem: `no field can have the name "${name}"` };
      if (names?.has(name))
        return { ...place(text, index), problem: `a second field has the name "${shown}"` };
      names?.add(name);
    }
  }
  return null;
}

function place(text: string, at: number): Pick<JsonFault, "line" | "column"> {
  const before = text.slice(0, at);
  return { line: before.split("\n").length, column: at - before.lastIndexOf("\n") };
}

function fault(text: string, at: number, expected: Expected): JsonFault {
  const found = text[at];
  const what =
    found === undefined
      ? "the text ends"
      : found === '"' && expected.includes("value")
        ? "a text in quotes is not closed or has a bad character"
        : `found ${JSON.stringify(found)}`;
  return { ...place(text, at), problem: `${what} where ${wording[expected]} is expected` };
}
