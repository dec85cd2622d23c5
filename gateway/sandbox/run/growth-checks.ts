/**
 * Checks that are put into a source before it runs, because no function inside an isolate can bound what syntax does:
 * an addition makes a text of any length without copying it, and reading one character later copies all of it, without
 * a look at the clock. This file writes checks down beside a source, puts them into its text, and finds the place in
 * the source for a place in the text that ran. `examine/growth.ts` decides where checks go.
 */

/** No source may have a name that begins so: these are the functions of the checks (`inside/growth.js`). */
export const checkPrefix = "\u00aa";

/** By the letter that stands for it where checks are written down. A space keeps it from what stands before. */
const texts = {
  text: ["t", ` ${checkPrefix}text(`],
  list: ["p", ` ${checkPrefix}list(`],
  pause: ["i", ` ${checkPrefix}pause(`],
  short: ["s", ` ${checkPrefix}short(`],
  // Stands first in a pattern that is a parameter: its key is asked for before the rest is taken out.
  rest: ["r", `[ ${checkPrefix}values(arguments)]:${checkPrefix}none,`],
  open: ["o", "("],
  close: ["c", ")"],
  // What is changed follows, as the source names it.
  add: ["a", ` ${checkPrefix}add(`],
  key: ["k", ` ${checkPrefix}key(`],
  size: ["n", ` ${checkPrefix}size(`],
} as const;

export type CheckKind = keyof typeof texts;

export interface Check {
  /** The check goes before the character at this index of the source. */
  readonly index: number;
  readonly kind: CheckKind;
  /** For `add`, `key` and `size`: a variable or a property as it is written, without spaces. */
  readonly target?: string;
}

const kinds = new Map(
  Object.entries(texts).map(([kind, [letter]]) => [letter as string, kind as CheckKind]),
);

function textOf({ kind, target }: Check): string {
  const [, text] = texts[kind];
  return target === undefined ? text : `${text}${target},`;
}

/** The version of this notation: it is kept on disk, and another version of Sluice may read it. */
const format = "1";

/** One line: how far each is from the one before, in base 36, then what it is. @param checks in their order. */
export function writeChecks(checks: readonly Check[]): string {
  let before = 0;
  const items = checks.map(({ index, kind, target = "" }) => {
    const distance = (index - before).toString(36);
    before = index;
    return `${distance}.${texts[kind][0]}${target}`;
  });
  return items.length === 0 ? "" : `${format} ${items.join(" ")}`;
}

function* readChecks(written: string): Generator<{ index: number; text: string }, void, void> {
  const [first, ...items] = written.split(" ");
  // Checks that another Sluice wrote: the source is examined anew and gets its own.
  if (first !== format) return;
  let index = 0;
  for (const item of items) {
    const dot = item.indexOf(".");
    index += Number.parseInt(item.slice(0, dot), 36);
    const kind = kinds.get(item[dot + 1] ?? "");
    if (kind === undefined) throw new Error(`no check is written as ${item}`);
    const target = item.slice(dot + 2);
    yield { index, text: textOf(target === "" ? { index, kind } : { index, kind, target }) };
  }
}

/** The source with its checks in it, on the same lines. */
export function withChecks(text: string, written: string | undefined): string {
  if (written === undefined || written === "") return text;
  const parts: string[] = [];
  let from = 0;
  for (const { index, text: check } of readChecks(written)) {
    parts.push(text.slice(from, index), check);
    from = index;
  }
  parts.push(text.slice(from));
  return parts.join("");
}

const lineEnd = /\r\n|[\n\r\u2028\u2029]/g;

/** The column in a source for a column in what ran; both, and the line, count from 1. */
export function columnBefore(
  text: string,
  written: string | undefined,
  line: number,
  column: number,
): number {
  if (written === undefined || written === "") return column;
  let start = 0;
  lineEnd.lastIndex = 0;
  for (let at = 1; at < line; at += 1) {
    if (lineEnd.exec(text) === null) return column;
    start = lineEnd.lastIndex;
  }
  let added = 0;
  for (const { index, text: check } of readChecks(written)) {
    if (index < start) continue;
    const at = index - start + added;
    if (at >= column - 1) break;
    // Within a check: what it checks is at fault.
    if (at + check.length > column - 1) return index - start + 1;
    added += check.length;
  }
  return column - added;
}
