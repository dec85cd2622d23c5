/** Turns HTTP/1.1's field lines into HTTP/2's lists of fields, and back. */

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
  eachField(lines, (name, value) => fields.push(name, value));
}

/** Does the same for the calls that take an object: interim answers and trailers. */
export function fieldsObject(lines: string): Record<string, string[]> {
  const fields: Record<string, string[]> = Object.create(null);
  eachField(lines, (name, value) => {
    const values = fields[name];
    if (values === undefined) fields[name] = [value];
    else values.push(value);
  });
  return fields;
}

/** `raw`: names and values alternately, without pseudo-fields. Returns lines, each with its CR LF. */
export function linesOf(raw: readonly string[]): string {
  let lines = "";
  for (let at = 0; at < raw.length; at += 2) lines += `${raw[at]}: ${raw[at + 1]}\r\n`;
  return lines;
}

function eachField(lines: string, take: (name: string, value: string) => void): void {
  for (let line = 0; line < lines.length; ) {
    const colon = lines.indexOf(":", line);
    const end = lines.indexOf("\r\n", colon);
    const name = lines.slice(line, colon).toLowerCase();
    if (!connectionFields.has(name)) take(name, lines.slice(colon + 1, end).trim());
    line = end + 2;
  }
}
