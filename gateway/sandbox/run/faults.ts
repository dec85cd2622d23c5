/**
 * What went wrong in a script, as an operator reads it: with the place, and safe even for a hostile text, because it is
 * bounded, on one line, and has its control characters escaped.
 */
import type { ScriptFault } from "../sandbox.ts";

const maxMessageLength = 500;
/** Controls, and what changes the direction or the lines of a terminal. */
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
/** Frames of Node.js have paths too: a place is a whole word. */
const place = /(?<![^\s(])((?:scripts|modules)\/[^\s:()[\]]+):(\d{1,9}):(\d{1,9})/g;
const bracketed = /^([\s\S]*) \[((?:scripts|modules)\/[^\s[\]]+):(\d{1,9}):(\d{1,9})\]$/;

/** A script does not load, or a call failed. */
export class ScriptError extends Error {
  readonly fault: ScriptFault;

  constructor(fault: ScriptFault) {
    super(describeFault(fault));
    this.name = "ScriptError";
    this.fault = fault;
  }
}

/** A call was cut short: its time or its memory ran out, or its isolate had ended before it began. */
export type Cut = "time" | "memory" | "gone";

export class CutError extends ScriptError {
  readonly cut: Cut | null;

  constructor(fault: ScriptFault, cut: Cut | null) {
    super(fault);
    this.cut = cut;
  }
}

export function printable(text: string): string {
  const short = text.length > maxMessageLength ? `${text.slice(0, maxMessageLength)}...` : text;
  return short.replace(
    unprintable,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** `scripts/a.example.com:3:9: TypeError: ...`. */
export function describeFault(fault: ScriptFault): string {
  const { key, line, column, message } = fault;
  return line === 0 ? `${key}: ${message}` : `${key}:${line}:${column}: ${message}`;
}

/** The column in a source for a column in the text that ran; `null`: the script has no part of that key. */
export type ColumnOf = (key: string, line: number, column: number) => number | null;

/**
 * The fault of a thrown error. Its place is the first one in the stack that lies in a part of this script, because the
 * script can write any stack and must not put the blame on another host's script.
 */
export function faultAt(
  key: string,
  message: string,
  stack: string,
  columnOf: ColumnOf,
): ScriptFault {
  for (const [, at = "", line, column] of stack.slice(0, 8_192).matchAll(place)) {
    const before = columnOf(at, Number(line), Number(column));
    if (before === null) continue;
    return { key: printable(at), line: Number(line), column: before, message: printable(message) };
  }
  return { key, line: 0, column: 0, message: printable(message) };
}

/** For texts that ran as they are: the script `key` and whatever modules it has. */
export function sameColumn(key: string): ColumnOf {
  return (at, _line, column) => (at === key || at.startsWith("modules/") ? column : null);
}

/** The fault of what isolated-vm throws when it compiles, links or evaluates. */
export function faultOf(
  key: string,
  error: unknown,
  timeoutMs: number,
  columnOf: ColumnOf = sameColumn(key),
): ScriptFault {
  if (error instanceof ScriptError) return error.fault;
  if (!(error instanceof Error)) {
    return { key, line: 0, column: 0, message: printable(`threw ${String(error)}`) };
  }
  const compiled = bracketed.exec(error.message);
  if (compiled !== null && columnOf(compiled[2] ?? "", 1, 1) !== null) {
    return {
      key: compiled[2] ?? key,
      line: Number(compiled[3]),
      column: Number(compiled[4]),
      message: printable(`${error.name}: ${compiled[1]}`),
    };
  }
  const stack = typeof error.stack === "string" ? error.stack : "";
  return faultAt(key, explain(error, timeoutMs), stack, columnOf);
}

/** Why isolated-vm ended a call, which only the text of its error tells. `null`: it was something else. */
export function cutOf(error: Error): Cut | null {
  const { message } = error;
  if (message === "Script execution timed out.") return "time";
  // The watchdog disposes of the isolate of a call that takes too long.
  if (message === "Isolate was disposed during execution") return "time";
  if (message.startsWith("Isolate was disposed")) return "memory";
  return message === "Isolated is disposed" ? "gone" : null;
}

export function isTimeout(error: Error): boolean {
  return cutOf(error) === "time";
}

export function explain(error: Error, timeoutMs: number): string {
  const cut = cutOf(error);
  if (cut === "time") return `ran longer than ${timeoutMs} ms`;
  return cut === null ? `${error.name}: ${error.message}` : "ran out of memory";
}

/** Line and column, from 1, of `index` in `text`. */
export function positionAt(text: string, index: number): { line: number; column: number } {
  const before = text.slice(0, index).split(/\r\n|[\n\r\u2028\u2029]/);
  return { line: before.length, column: (before.at(-1) ?? "").length + 1 };
}
