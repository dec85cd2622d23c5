/**
 * Finds in a script's source what syntax alone makes and no script may have. Asynchronous code: a script
 * answers at once, and a rejected promise is looked at by isolated-vm after the time limit is over,
 * which a hostile value could use to stall the process. BigInt: V8 multiplies millions of digits
 * without a look at the clock.
 */
import { positionAt } from "./faults.ts";
import type { ScriptFault } from "./sandbox.ts";

/**
 * Rather one word too many than one too few: strings and block comments count as code, because
 * telling them apart needs a whole parser. `async` passes when what follows cannot be a function.
 */
const asynchronous =
  /(?<![\w$])(?:async(?!\s*(?:[>,;:=.?|&)\]}]|$))(?![\w$])|await(?![\w$])|import(?=\s*(?:[(./]|$)))/;
const bigNumber = /(?<![\w$.])(?:\d[\d_]*|0[bBoOxX][\da-fA-F_]+)n(?![\w$])/;
/** A line that is a comment whatever surrounds it: nothing in it can end a string or a comment. */
const commentLine = /^[^\S\n\r\u2028\u2029]*\/\/[^"'`$*\\\n\r\u2028\u2029]*$/gm;

/** The first such thing in the source under `key`; `null` when there is none. */
export function findRefusedSyntax(key: string, text: string): ScriptFault | null {
  const code = text.replace(commentLine, (line) => " ".repeat(line.length));
  const found = asynchronous.exec(code);
  const big = bigNumber.exec(code);
  if (big !== null) {
    return { key, ...positionAt(text, big.index), message: `${big[0]}: there is no BigInt` };
  }
  if (found === null) return null;
  const what = found[0] === "import" ? "import() and import.meta are" : `${found[0]} is`;
  return {
    key,
    ...positionAt(text, found.index),
    message: `${what} not available: a script answers at once`,
  };
}
