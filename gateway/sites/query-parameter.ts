/** One parameter of a query, as forms write it: `a=1&b=2`, a plus for a space, other octets percent-encoded. */

/**
 * The first value of a parameter; empty where it has none (`?debug`), `undefined` where there is no such parameter. What
 * is percent-encoded is compared decoded, octet by octet, as `name` has to be.
 */
export function queryParameter(query: string, name: string): string | undefined {
  for (let from = 0; from < query.length; ) {
    const ampersand = query.indexOf("&", from);
    const end = ampersand === -1 ? query.length : ampersand;
    const equals = query.indexOf("=", from);
    const nameEnd = equals === -1 || equals > end ? end : equals;
    if (isNamed(query, from, nameEnd, name))
      return nameEnd === end ? "" : decoded(query.slice(nameEnd + 1, end));
    from = end + 1;
  }
  return undefined;
}

function isNamed(query: string, from: number, to: number, name: string): boolean {
  if (to - from === name.length && query.startsWith(name, from)) return true;
  // Encoded it is longer, or has a plus.
  if (to - from < name.length) return false;
  const written = query.slice(from, to);
  return isEncoded(written) && decoded(written) === name;
}

function isEncoded(text: string): boolean {
  return text.includes("%") || text.includes("+");
}

/** Octets as latin1, as headers have them. A percent sign that begins no escape stands for itself. */
function decoded(text: string): string {
  if (!isEncoded(text)) return text;
  return text
    .replaceAll("+", " ")
    .replace(/%[0-9A-Fa-f]{2}/g, (octet) =>
      String.fromCharCode(Number.parseInt(octet.slice(1), 16)),
    );
}
