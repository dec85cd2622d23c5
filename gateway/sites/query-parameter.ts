/**
 * The parameters of a query, as forms write them: `a=1&b=2`, with a plus for a space, and other octets
 * percent-encoded.
 */

const percent = 0x25;
const plus = 0x2b;
const space = 0x20;

/**
 * Returns a parameter's first value; empty when it has none (`?debug`), `undefined` when there is no such parameter.
 * `name` has to be decoded, and is compared with decoded names octet by octet. Allocates only for the value.
 */
export function queryParameter(query: string, name: string): string | undefined {
  for (let from = 0; from < query.length; ) {
    const ampersand = query.indexOf("&", from);
    const end = ampersand === -1 ? query.length : ampersand;
    const at = valueStart(query, from, end, name);
    if (at !== -1) return decoded(query.slice(at, end));
    from = end + 1;
  }
  return undefined;
}

/** Returns all parameters, each with its first value. */
export function queryParameters(query: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const part of query.split("&")) {
    const equals = part.indexOf("=");
    const name = decoded(equals === -1 ? part : part.slice(0, equals));
    if (part !== "" && !found.has(name))
      found.set(name, equals === -1 ? "" : decoded(part.slice(equals + 1)));
  }
  return found;
}

/** Where the value begins if the parameter from `from` to `end` has this name; -1 if it has another. */
function valueStart(query: string, from: number, end: number, name: string): number {
  let at = from;
  for (let i = 0; i < name.length; i += 1) {
    if (at >= end) return -1;
    let octet = query.charCodeAt(at);
    at += 1;
    if (octet === plus) octet = space;
    else if (octet === percent) {
      const high = digit(query.charCodeAt(at));
      const low = digit(query.charCodeAt(at + 1));
      if (at + 1 < end && high !== -1 && low !== -1) {
        octet = high * 16 + low;
        at += 2;
      }
    } else if (octet === 0x3d) return -1;
    if (octet !== name.charCodeAt(i)) return -1;
  }
  if (at === end) return end;
  return query.charCodeAt(at) === 0x3d ? at + 1 : -1;
}

/** The value of a hexadecimal digit; -1 for another character. */
function digit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** Decodes to octets as latin1, as headers have them. A percent sign that begins no escape stands for itself. */
function decoded(text: string): string {
  if (!text.includes("%") && !text.includes("+")) return text;
  return text
    .replaceAll("+", " ")
    .replace(/%[0-9A-Fa-f]{2}/g, (octet) =>
      String.fromCharCode(Number.parseInt(octet.slice(1), 16)),
    );
}
