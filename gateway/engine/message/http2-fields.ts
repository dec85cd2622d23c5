/** Turns HTTP/1.1's field lines into HTTP/2's lists of fields, and back. */

import { fieldValue } from "./grammar.ts";

/** Fields that HTTP/2 does not have (RFC 9113 section 8.2.2), but that a head may have had on its way here. */
const connectionFields: ReadonlySet<string> = new Set([
  "connection",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
]);

/** Appends these lines, each with its CR LF, to a list of alternating names and values. */
export function appendFields(fields: string[], lines: string): void {
  for (let line = 0; line < lines.length; ) {
    const colon = lines.indexOf(":", line);
    const end = lines.indexOf("\r\n", colon);
    const name = lines.slice(line, colon).toLowerCase();
    if (!connectionFields.has(name)) fields.push(name, fieldValue(lines, colon, end));
    line = end + 2;
  }
}

/** `fields`: names and values alternately. Returns lines from that place on, each with its CR LF. */
export function linesOf(fields: readonly string[], from = 0): string {
  let lines = "";
  for (let at = from; at < fields.length; at += 2) lines += `${fields[at]}: ${fields[at + 1]}\r\n`;
  return lines;
}
