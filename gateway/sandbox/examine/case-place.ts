/** Where a case of a script's `tests` stands in the script. Reads what was found in its text. */
import { positionAt } from "../run/faults.ts";
import type { Syntax } from "./syntax.ts";

/**
 * The place of the case's name, else of the case, else of `tests`, from 1; 0 where it is not in this text.
 * @param given `at`: which case it is, from 0; `null`: the tests as a whole.
 */
export function placeOfCase(given: {
  readonly at: number | null;
  readonly name: string;
  readonly text: string;
  readonly syntax: Syntax | null;
}): { readonly line: number; readonly column: number } {
  const { at, name, text, syntax } = given;
  const range = at === null ? undefined : syntax?.cases[at];
  const [start = 0, end = text.length] = range ?? [];
  const index =
    quotedIn(text, name, start, end) ?? range?.[0] ?? syntax?.exports.get("tests") ?? null;
  return index === null ? { line: 0, column: 0 } : positionAt(text, index);
}

function quotedIn(text: string, name: string, start: number, end: number): number | null {
  if (name === "") return null;
  for (const quote of ['"', "'", "`"]) {
    const index = text.indexOf(`${quote}${name}${quote}`, start);
    if (index !== -1 && index < end) return index;
  }
  return null;
}
