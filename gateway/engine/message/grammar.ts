/**
 * The grammar of HTTP/1.1 heads (RFC 9110 section 5.6, RFC 9112 sections 2 to 5) as regular expressions over latin1
 * strings. Only unambiguous text passes.
 */
const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
/** Field values: tab, visible ASCII, space and obs-text, but no other control character. */
const value = "[\\t -~\\x80-\\xff]*";
const fields = `(?:${token}:${value}\\r\\n)*\\r\\n`;
const plainFields = `(?:[0-9A-Za-z-]+:${value}\\r\\n)*\\r\\n`;

/**
 * A whole request head, up to and including its empty line. One expression for everything was measured to be faster
 * than checks line by line. A target must not have a fragment, since readers disagree on what it means.
 */
export const requestHead = new RegExp(`${token} [!"$-~]+ HTTP/1\\.[01]\\r\\n${fields}`, "y");
/** The same, but only with names that cannot be mistaken for others; see `field-names.ts`. It is as fast. */
export const plainRequestHead = new RegExp(
  `${token} [!"$-~]+ HTTP/1\\.[01]\\r\\n${plainFields}`,
  "y",
);
export const responseHead = new RegExp(
  `HTTP/1\\.[01] [1-5][0-9]{2}(?: ${value})?\\r\\n${fields}`,
  "y",
);
/** The trailer section of a chunked body with its empty line (RFC 9112 section 7.1.2). */
export const trailerSection = new RegExp(fields, "y");

const requestLine = new RegExp(`^${token} [!"$-~]+ HTTP/1\\.[01]$`);
const otherVersion = new RegExp(`^${token} [!"$-~]+ HTTP/[0-9]+(?:\\.[0-9]+)?$`);
const fieldLine = new RegExp(`^${token}:${value}$`);
const wholeToken = new RegExp(`^${token}$`);
const wholeValue = /^(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?$/;
/** Its escapes can be decoded, and none is NUL. */
const pathOnly = /^\/(?:[!"$&->@-~]|%(?!00)[0-9A-Fa-f]{2})*$/;
const queryOnly = /^[!"$-~]*$/;
/** A line feed without its carriage return, or a carriage return that something other than LF follows. */
const bareLineEnd = /(?:^|[^\r])\n|\r[^\n]/;

export function isToken(text: string): boolean {
  return wholeToken.test(text);
}

/** A field value without white space at its ends (RFC 9110 section 5.5). */
export function isFieldValue(text: string): boolean {
  return wholeValue.test(text);
}

export function isPath(text: string): boolean {
  return pathOnly.test(text);
}

export function isQuery(text: string): boolean {
  return queryOnly.test(text);
}

export function hasBareLineEnd(text: string): boolean {
  return bareLineEnd.test(text);
}

/** Why a head is refused, and the answer's status. */
export interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

/** Finds out what is wrong with a request head that `requestHead` did not match. Too slow for the hot path. */
export function explainRequestHead(head: string): Refusal {
  if (isProxyHeader(head)) return unexpectedProxyHeader;
  if (hasBareLineEnd(head)) return refuse("bad_line_end", "a line does not end with CR LF");
  const lines = head.split("\r\n");
  const message = "the request head is malformed";
  return explainRequestLines(lines, 0) ?? refuse("bad_request", message);
}

/**
 * What is wrong with one of `lines` up to an empty one; `null` for nothing. The lines come without line ends.
 * `index`: the position of the first in its head, where the request line has 0.
 */
export function explainRequestLines(lines: readonly string[], index: number): Refusal | null {
  for (const [n, line] of lines.entries()) {
    const at = index + n;
    if (at === 0) {
      const refusal = explainRequestLine(line);
      if (refusal !== null) return refusal;
    } else if (line === "") {
      return null;
    } else if (line.startsWith(" ") || line.startsWith("\t")) {
      return refuse("folded_header", `header line ${at} is folded`);
    } else if (!fieldLine.test(line)) {
      return refuse("bad_header", `header line ${at} is malformed`);
    }
  }
  return null;
}

/** What is wrong with the grammar of a request line; `null` for nothing. */
export function explainRequestLine(line: string): Refusal | null {
  if (requestLine.test(line)) return null;
  if (isProxyHeader(line)) return unexpectedProxyHeader;
  if (!otherVersion.test(line)) return refuse("bad_request_line", "the request line is malformed");
  return {
    status: 505,
    code: "bad_version",
    message: "only HTTP/1.0 and HTTP/1.1 are spoken here",
  };
}

/**
 * Whether a malformed request line is the beginning of a PROXY header: the line of version 1, or what the signature of
 * version 2 leaves when its empty lines are skipped.
 */
export function isProxyHeader(text: string): boolean {
  return /^(?:PROXY (?:TCP[46]|UNKNOWN)(?![!-~])|\0(?:\r\nQUIT\n|$))/.test(text);
}

export const unexpectedProxyHeader: Refusal = {
  status: 400,
  code: "unexpected_proxy_header",
  message: "the connection begins with a PROXY header, but proxyProtocol does not list its sender",
};

export const missingProxyHeader: Refusal = {
  status: 400,
  code: "missing_proxy_header",
  message: "proxyProtocol lists the sender, but the connection does not begin with a PROXY header",
};

export const badProxyHeader: Refusal = {
  status: 400,
  code: "bad_proxy_header",
  message: "proxyProtocol lists the sender, but its PROXY header is malformed or too long",
};

/** To a client that speaks HTTP in clear where TLS is spoken. */
export const tlsExpected: Refusal = {
  status: 400,
  code: "tls_expected",
  message: "this port speaks TLS: the URL must begin with https",
};

/** Whether the first bytes of a connection begin a request in clear. */
export function beginsRequest(bytes: string): boolean {
  return /^[A-Z]{3,16} [!-~]/.test(bytes);
}

export function refuse(code: string, message: string): Refusal {
  return { status: 400, code, message };
}

/** Whether the field name at `head[from, to)` is `name`, which is in lower case. */
export function isNamed(head: string, from: number, to: number, name: string): boolean {
  return to - from === name.length && head.slice(from, to).toLowerCase() === name;
}

/**
 * The elements of a list in lower case (RFC 9110 section 5.6.1), without empty ones. Only space and tab count as
 * white space. It looks at each character once, wherever the blanks are; a regular expression that trims would start
 * anew at each blank.
 */
export function listElements(value: string): readonly string[] {
  const elements: string[] = [];
  const text = value.toLowerCase();
  for (let from = 0; from <= text.length; ) {
    const comma = text.indexOf(",", from);
    const to = comma === -1 ? text.length : comma;
    const element = withoutBlanks(text, from, to);
    if (element !== "") elements.push(element);
    from = to + 1;
  }
  return elements;
}

/** Whether every protocol in `chosen`, which names at least one, is in the offered list. */
export function isOffered(offer: string, chosen: string): boolean {
  const offered = new Set(listElements(offer));
  const names = listElements(chosen);
  return names.length > 0 && names.every((name) => offered.has(name));
}

/** The field value between a colon and the end of its line, without optional white space. */
export function fieldValue(head: string, colon: number, lineEnd: number): string {
  return withoutBlanks(head, colon + 1, lineEnd);
}

/** `text[start, end)` without space and tab at its ends. */
function withoutBlanks(text: string, start: number, end: number): string {
  let from = start;
  let to = end;
  while (from < to && isBlank(text.charCodeAt(from))) from += 1;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to -= 1;
  return text.slice(from, to);
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9;
}
