/** Converts fields between `node:http`'s form, alternating names and values, and lines with CR LF. */
import { fieldValue } from "../message/grammar.ts";

export function linesOf(raw: readonly string[]): string {
  let lines = "";
  for (let at = 0; at + 1 < raw.length; at += 2) lines += `${raw[at]}: ${raw[at + 1]}\r\n`;
  return lines;
}

export function pairsOf(lines: string): [name: string, value: string][] {
  return lines
    .split("\r\n")
    .filter((line) => line !== "")
    .map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), fieldValue(line, colon, line.length)];
    });
}
