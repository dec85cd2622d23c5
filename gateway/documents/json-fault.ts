/**
 * Finds where a text stops being JSON. It is only for texts that `JSON.parse` refused: V8's own messages give a
 * position for some faults and none for others, and quote the text.
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

function fault(text: string, at: number, expected: Expected): JsonFault {
  const before = text.slice(0, at);
  const line = before.split("\n").length;
  const column = at - before.lastIndexOf("\n");
  const found = text[at];
  const what =
    found === undefined
      ? "the text ends"
      : found === '"' && expected.includes("value")
        ? "a text in quotes is not closed or has a bad character"
        : `found ${JSON.stringify(found)}`;
  return { line, column, problem: `${what} where ${wording[expected]} is expected` };
}
