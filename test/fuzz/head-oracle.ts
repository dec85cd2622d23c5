/**
 * A straightforward judge of request and answer heads, written from RFC 9110 and RFC 9112 line by line
 * and character by character, without a regular expression: slow, and easy to check by eye.
 */

export type Line = readonly [name: string, value: string];

export interface JudgedRequest {
  readonly method: string;
  readonly target: string;
  readonly minor: number;
  readonly authority: string;
  readonly contentLength: number;
  readonly isChunked: boolean;
  readonly keepAlive: boolean;
  readonly expectsContinue: boolean;
  /** All lines, as they stand there. */
  readonly lines: readonly Line[];
}

export interface JudgedAnswer {
  readonly status: number;
  readonly framing: "none" | "length" | "chunked" | "close";
  readonly contentLength: number;
  readonly keepAlive: boolean;
}

const tokenMarks = "!#$%&'*+-.^_`|~";
const hostMarks = "_~!$&'()*+,;=-";

function isAlphanumeric(code: number): boolean {
  const isDigit = code >= 0x30 && code <= 0x39;
  return isDigit || (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a);
}

function isToken(text: string): boolean {
  for (const character of text) {
    if (!isAlphanumeric(character.charCodeAt(0)) && !tokenMarks.includes(character)) return false;
  }
  return text !== "";
}

function isDigits(text: string, most: number): boolean {
  for (const character of text) if (character < "0" || character > "9") return false;
  return text !== "" && text.length <= most;
}

function isValue(text: string): boolean {
  for (let n = 0; n < text.length; n += 1) {
    const code = text.charCodeAt(n);
    if (code === 9 || (code >= 0x20 && code <= 0x7e) || (code >= 0x80 && code <= 0xff)) continue;
    return false;
  }
  return true;
}

/** Without the optional white space at its ends: space and tab, and no other (RFC 9110 section 5.6.3). */
export function withoutBlanks(text: string): string {
  let from = 0;
  let to = text.length;
  while (from < to && (text[from] === " " || text[from] === "\t")) from += 1;
  while (to > from && (text[to - 1] === " " || text[to - 1] === "\t")) to -= 1;
  return text.slice(from, to);
}

/** Up to 253 characters in labels of 1 to 63, and perhaps a dot. */
function isName(text: string): boolean {
  const name = text.endsWith(".") ? text.slice(0, -1) : text;
  for (const label of name.split(".")) {
    if (label === "" || label.length > 63) return false;
    for (const character of label) {
      if (!isAlphanumeric(character.charCodeAt(0)) && !hostMarks.includes(character)) return false;
    }
  }
  return name.length <= 253;
}

/** Eight groups, or fewer around one `::`; the last two may be an IPv4 address. */
function isAddress(text: string): boolean {
  const halves = text.split("::");
  if (halves.length > 2) return false;
  let groups = 0;
  for (const [at, half] of halves.entries()) {
    if (half === "") continue;
    const parts = half.split(":");
    for (const [n, part] of parts.entries()) {
      const isLast = at === halves.length - 1 && n === parts.length - 1;
      if (isLast && part.includes(".")) {
        const bytes = part.split(".");
        const isByte = (byte: string) =>
          isDigits(byte, 3) && Number(byte) < 256 && String(Number(byte)) === byte;
        if (bytes.length !== 4 || !bytes.every(isByte)) return false;
        groups += 2;
        continue;
      }
      if (part === "" || part.length > 4) return false;
      for (const character of part.toLowerCase()) {
        if (!"0123456789abcdef".includes(character)) return false;
      }
      groups += 1;
    }
  }
  return halves.length === 2 ? groups < 8 : groups === 8;
}

function isAuthority(text: string): boolean {
  const isBracketed = text.startsWith("[");
  const end = isBracketed ? text.indexOf("]") + 1 : text.indexOf(":");
  if (isBracketed && end === 0) return false;
  const host = isBracketed || end !== -1 ? text.slice(0, end) : text;
  const port = text.slice(host.length);
  if (isBracketed ? !isAddress(host.slice(1, -1)) : !isName(host)) return false;
  if (port === "" || port === ":") return true;
  return port.startsWith(":") && isDigits(port.slice(1), 5) && Number(port.slice(1)) < 65_536;
}

/** The lines of a head that ends with its empty line; `null` when it is not made of lines. */
function linesOf(head: string): string[] | null {
  if (!head.endsWith("\r\n\r\n")) return null;
  const lines = head.slice(0, -4).split("\r\n");
  return lines.some((line) => line.includes("\r") || line.includes("\n")) ? null : lines;
}

function fieldsOf(lines: readonly string[]): Line[] | null {
  const fields: Line[] = [];
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon === -1) return null;
    const name = line.slice(0, colon);
    const value = line.slice(colon + 1);
    if (!isToken(name) || !isValue(value)) return null;
    fields.push([name, withoutBlanks(value)]);
  }
  return fields;
}

function valuesOf(fields: readonly Line[], name: string): string[] {
  return fields.filter((field) => field[0].toLowerCase() === name).map((field) => field[1]);
}

/** `null`: refused. `head` ends with the first empty line. */
export function judgeRequest(
  head: string,
  limits: { readonly maxTargetBytes: number; readonly maxHeaders: number },
): JudgedRequest | null {
  const [first, ...rest] = linesOf(head) ?? [];
  if (first === undefined) return null;
  const parts = first.split(" ");
  const [method = "", sent = "", version = ""] = parts;
  if (parts.length !== 3 || !isToken(method) || sent === "") return null;
  if (version !== "HTTP/1.0" && version !== "HTTP/1.1") return null;
  for (let n = 0; n < sent.length; n += 1) {
    const code = sent.charCodeAt(n);
    if (code <= 0x20 || code >= 0x7f || code === 0x23) return null;
  }
  const lines = fieldsOf(rest);
  if (lines === null || sent.length > limits.maxTargetBytes) return null;
  if (lines.length > limits.maxHeaders) return null;
  const lengths = valuesOf(lines, "content-length");
  const codings = valuesOf(lines, "transfer-encoding");
  const hosts = valuesOf(lines, "host");
  const expectations = valuesOf(lines, "expect").map((value) => value.toLowerCase());
  const [length] = lengths;
  const [host] = hosts;
  if (lengths.length > 1 || codings.length > 1 || hosts.length !== 1 || host === undefined) {
    return null;
  }
  if (length !== undefined && !isDigits(length, 15)) return null;
  if (codings.length === 1) {
    if (length !== undefined || version === "HTTP/1.0") return null;
    if (codings[0]?.toLowerCase() !== "chunked") return null;
  }
  if (expectations.some((expectation) => expectation !== "100-continue")) return null;
  if (method === "CONNECT" || !isAuthority(host)) return null;
  const named = targetOf(method, sent, host);
  if (named === null || !isAuthority(named.authority) || hasBadEscape(named.target)) return null;
  return {
    method,
    ...named,
    minor: version === "HTTP/1.1" ? 1 : 0,
    contentLength: length === undefined ? -1 : Number(length),
    isChunked: codings.length === 1,
    keepAlive: isKept(valuesOf(lines, "connection"), version === "HTTP/1.1"),
    expectsContinue: expectations.length > 0,
    lines,
  };
}

function targetOf(
  method: string,
  sent: string,
  host: string,
): { readonly target: string; readonly authority: string } | null {
  if (sent.startsWith("/")) return { target: sent, authority: host };
  if (sent === "*") return method === "OPTIONS" ? { target: "*", authority: host } : null;
  const scheme = "http://";
  if (!sent.toLowerCase().startsWith(scheme)) return null;
  const rest = sent.slice(scheme.length);
  let end = 0;
  while (end < rest.length && rest[end] !== "/" && rest[end] !== "?") end += 1;
  const authority = rest.slice(0, end);
  const tail = rest.slice(end);
  if (tail === "") return { target: method === "OPTIONS" ? "*" : "/", authority };
  return { target: tail.startsWith("?") ? `/${tail}` : tail, authority };
}

/** In the path: a `%` without two hexadecimal digits, or with two zeros. */
function hasBadEscape(target: string): boolean {
  for (let at = 0; at < target.length && target[at] !== "?"; at += 1) {
    if (target[at] !== "%") continue;
    const digits = target.slice(at + 1, at + 3).toLowerCase();
    const isHexadecimal = [...digits].every((digit) => "0123456789abcdef".includes(digit));
    if (digits.length < 2 || !isHexadecimal || digits === "00") return true;
  }
  return false;
}

function isKept(connection: readonly string[], isByDefault: boolean): boolean {
  const options = connection.join(",").toLowerCase().split(",").map(withoutBlanks);
  if (options.includes("close")) return false;
  return isByDefault || options.includes("keep-alive");
}

/** `null`: refused. `method` is that of the request. */
export function judgeAnswer(head: string, method: string): JudgedAnswer | null {
  const [first, ...rest] = linesOf(head) ?? [];
  if (first === undefined) return null;
  const version = first.slice(0, 8);
  if (version !== "HTTP/1.0" && version !== "HTTP/1.1") return null;
  const digits = first.slice(9, 12);
  if (first[8] !== " " || digits.length !== 3 || !isDigits(digits, 3)) return null;
  const status = Number(digits);
  if (status < 100 || status > 599) return null;
  if (first.length > 12 && (first[12] !== " " || !isValue(first.slice(13)))) return null;
  const lines = fieldsOf(rest);
  if (lines === null) return null;
  const lengths = valuesOf(lines, "content-length");
  const codings = valuesOf(lines, "transfer-encoding");
  const [length] = lengths;
  if (lengths.length > 1 || codings.length > 1) return null;
  if (length !== undefined && !isDigits(length, 15)) return null;
  if (codings.length === 1) {
    if (length !== undefined || version === "HTTP/1.0") return null;
    if (codings[0]?.toLowerCase() !== "chunked") return null;
  }
  const contentLength = length === undefined ? -1 : Number(length);
  let keepAlive = isKept(valuesOf(lines, "connection"), version === "HTTP/1.1");
  let framing: JudgedAnswer["framing"] = "close";
  if (method === "HEAD" || status === 204 || status === 304 || status < 200) framing = "none";
  else if (codings.length === 1) framing = "chunked";
  else if (length !== undefined) framing = contentLength === 0 ? "none" : "length";
  else keepAlive = false;
  // What must not have a body and announces one is not to be asked again.
  if (status === 204 && (codings.length > 0 || contentLength > 0)) {
    keepAlive = false;
  }
  return { status, framing, contentLength, keepAlive };
}
