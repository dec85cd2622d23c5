/**
 * Requests that two parsers could read in two ways, or that no parser should read at all. Each row
 * names what is wrong; what the gateway does with them all is in `ambiguous-requests.test.ts`.
 */

export interface AmbiguousRequest {
  readonly name: string;
  /** As sent, latin1. */
  readonly bytes: string;
  /** Default 400. */
  readonly status?: number;
  /** What is wrong stands in the body: the head may reach the origin, a whole request may not. */
  readonly inBody?: true;
}

const HOST = "Host: shop.example";

/** A request with these lines after Host. */
function post(lines: string, body = "", name = "Host"): string {
  return `POST / HTTP/1.1\r\n${name}: shop.example\r\n${lines}\r\n\r\n${body}`;
}

function get(lines: string): string {
  return `GET / HTTP/1.1\r\n${HOST}\r\n${lines}\r\n\r\n`;
}

function line(requestLine: string): string {
  return `${requestLine}\r\n${HOST}\r\n\r\n`;
}

function chunks(body: string): string {
  return post("Transfer-Encoding: chunked", body);
}

const EMPTY_CHUNKS = "0\r\n\r\n";

const framing: AmbiguousRequest[] = [
  ["length and chunked", post("Content-Length: 5\r\nTransfer-Encoding: chunked", EMPTY_CHUNKS)],
  ["chunked and length", post("Transfer-Encoding: chunked\r\nContent-Length: 5", EMPTY_CHUNKS)],
  ["chunked and length 0", post("Transfer-Encoding: chunked\r\nContent-Length: 0", EMPTY_CHUNKS)],
  ["two equal lengths", post("Content-Length: 5\r\nContent-Length: 5", "hello")],
  ["two different lengths", post("Content-Length: 5\r\nContent-Length: 0", "hello")],
  ["two lengths in different case", post("Content-Length: 5\r\ncontent-LENGTH: 6", "hello")],
  ["equal lengths in one line", post("Content-Length: 5, 5", "hello")],
  ["different lengths in one line", post("Content-Length: 5, 0", "hello")],
  ["a length with a comma after it", post("Content-Length: 5,", "hello")],
  ["a positive sign in a length", post("Content-Length: +5", "hello")],
  ["a negative length", post("Content-Length: -5", "hello")],
  ["a negative zero length", post("Content-Length: -0")],
  ["a hexadecimal length", post("Content-Length: 0x5", "hello")],
  ["a length with a fraction", post("Content-Length: 5.0", "hello")],
  ["a length with an exponent", post("Content-Length: 1e1", "hello")],
  ["a length with an underscore", post("Content-Length: 1_0", "hello")],
  ["a length with a space inside", post("Content-Length: 1 0", "hello")],
  ["a length in quotes", post('Content-Length: "5"', "hello")],
  ["an empty length", post("Content-Length:")],
  ["a length of blanks", post("Content-Length:   ")],
  ["a length of letters", post("Content-Length: five", "hello")],
  ["a length beyond 2^64", post("Content-Length: 18446744073709551621", "hello")],
  ["a length of 400 digits", post(`Content-Length: ${"9".repeat(400)}`, "hello")],
  ["a length in other digits", post("Content-Length: \xb2", "hello")],
  ["a vertical tab before a length", post("Content-Length: \x0b5", "hello")],
  ["a form feed after a length", post("Content-Length: 5\x0c", "hello")],
  ["a length with a NUL", post("Content-Length: 5\x00", "hello")],
].map(([name = "", bytes = ""]) => ({ name, bytes }));

const codings: AmbiguousRequest[] = (
  [
    ["chunked twice in one line", "chunked, chunked", 501],
    ["chunked that is not final", "chunked, gzip"],
    ["chunked after identity", "identity, chunked", 501],
    ["chunked after gzip", "gzip, chunked", 501],
    ["identity", "identity"],
    ["gzip alone", "gzip"],
    ["an unknown coding", "cow"],
    ["an empty coding", ""],
    ["a comma before chunked", ", chunked"],
    ["a comma after chunked", "chunked,"],
    ["xchunked", "xchunked"],
    ["chunked with something after it", "chunkedx"],
    ["chunked in quotes", '"chunked"'],
    ["chunked in single quotes", "'chunked'"],
    ["chunked with a parameter", "chunked;q=1"],
    ["chunked with a semicolon", "chunked;"],
    ["chunked with a word after it", "chunked false"],
    ["chunked with a vertical tab", "\x0bchunked"],
    ["chunked with a form feed", "chunked\x0c"],
    ["chunked with a NUL", "chunked\x00"],
    ["chunked with a non-breaking space", "\xa0chunked"],
    ["chunked cut by a backspace", "chunke\x08d"],
  ] as [string, string, number?][]
).map(([name, value, status]) => ({
  name: `Transfer-Encoding: ${name}`,
  bytes: post(`Transfer-Encoding: ${value}`, EMPTY_CHUNKS),
  ...(status === undefined ? {} : { status }),
}));

const codingLines: AmbiguousRequest[] = [
  [
    "Transfer-Encoding twice",
    post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", EMPTY_CHUNKS),
  ],
  [
    "Transfer-Encoding twice, one of them identity",
    post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", EMPTY_CHUNKS),
  ],
  [
    "Transfer-Encoding twice in different case, with a nonsense one last",
    post("Transfer-Encoding: chunked\r\ntransfer-encoding: x", EMPTY_CHUNKS),
  ],
  ["a space before the colon", post("Transfer-Encoding : chunked", EMPTY_CHUNKS)],
  ["a tab before the colon", post("Transfer-Encoding\t: chunked", EMPTY_CHUNKS)],
  ["a vertical tab before the colon", post("Transfer-Encoding\x0b: chunked", EMPTY_CHUNKS)],
  ["a NUL before the colon", post("Transfer-Encoding\x00: chunked", EMPTY_CHUNKS)],
  ["a coding on a folded line", post("Transfer-Encoding:\r\n chunked", EMPTY_CHUNKS)],
  ["a folded line after a coding", post("Transfer-Encoding: chunked\r\n , identity", EMPTY_CHUNKS)],
  ["a header line that starts with a space", post(" Transfer-Encoding: chunked", EMPTY_CHUNKS)],
  ["a bare LF before a coding", post("X: y\nTransfer-Encoding: chunked", EMPTY_CHUNKS)],
  ["a bare CR before a coding", post("X: y\rTransfer-Encoding: chunked", EMPTY_CHUNKS)],
  ["a bare CR before the LF of a line", post("X: y\r\r\nTransfer-Encoding: chunked", EMPTY_CHUNKS)],
  [
    "a coding in a request of HTTP/1.0",
    `POST / HTTP/1.0\r\n${HOST}\r\nTransfer-Encoding: chunked\r\n\r\n${EMPTY_CHUNKS}`,
  ],
  [
    "a coding in a request of HTTP/1.0 that keeps its connection",
    `POST / HTTP/1.0\r\n${HOST}\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n${EMPTY_CHUNKS}`,
  ],
].map(([name = "", bytes = ""]) => ({ name, bytes }));

const lengthLines: AmbiguousRequest[] = [
  ["a space before the colon of a length", post("Content-Length : 5", "hello")],
  ["a length on a folded line", post("Content-Length:\r\n 5", "hello")],
  ["a length that goes on on a folded line", post("Content-Length: 5\r\n 0", "hello")],
  ["a length on the folded line of another header", post("X: y\r\n\tContent-Length: 5", "hello")],
].map(([name = "", bytes = ""]) => ({ name, bytes }));

const hosts: AmbiguousRequest[] = [
  ["no Host", "GET / HTTP/1.1\r\n\r\n"],
  ["no Host and other headers", "GET / HTTP/1.1\r\nX-A: b\r\n\r\n"],
  ["no Host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n"],
  ["two Hosts", get("Host: other.example")],
  ["two equal Hosts", get(HOST)],
  ["two Hosts in different case", get("hOST: other.example")],
  ["two Hosts, one of them folded", get("X: y\r\n Host: other.example")],
  ["an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n"],
  ["a Host list", "GET / HTTP/1.1\r\nHost: a.example, b.example\r\n\r\n"],
  ["a Host with a space", "GET / HTTP/1.1\r\nHost: a.example b.example\r\n\r\n"],
  ["a Host with a slash", "GET / HTTP/1.1\r\nHost: a.example/b\r\n\r\n"],
  ["a Host with a scheme", "GET / HTTP/1.1\r\nHost: http://a.example\r\n\r\n"],
  ["a Host with a user", "GET / HTTP/1.1\r\nHost: user@a.example\r\n\r\n"],
  ["a Host with a query", "GET / HTTP/1.1\r\nHost: a.example?b\r\n\r\n"],
  ["a Host with a fragment", "GET / HTTP/1.1\r\nHost: a.example#b\r\n\r\n"],
  ["a Host with a backslash", "GET / HTTP/1.1\r\nHost: a.example\\b\r\n\r\n"],
  ["a Host with a port of letters", "GET / HTTP/1.1\r\nHost: a.example:http\r\n\r\n"],
  ["a Host with two ports", "GET / HTTP/1.1\r\nHost: a.example:80:81\r\n\r\n"],
  ["a Host with an open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"],
  ["a Host that begins with dots", "GET / HTTP/1.1\r\nHost: ..wild.example\r\n\r\n"],
  ["a Host with an empty label", "GET / HTTP/1.1\r\nHost: a..example\r\n\r\n"],
  ["a Host with two dots at its end", "GET / HTTP/1.1\r\nHost: a.example..\r\n\r\n"],
  ["a Host of a dot", "GET / HTTP/1.1\r\nHost: .\r\n\r\n"],
  ["a Host of a port", "GET / HTTP/1.1\r\nHost: :80\r\n\r\n"],
  ["a Host with an escaped NUL", "GET / HTTP/1.1\r\nHost: %00.wild.example\r\n\r\n"],
  ["a Host with an escaped letter", "GET / HTTP/1.1\r\nHost: %61.example\r\n\r\n"],
  ["a Host with a label of 64", `GET / HTTP/1.1\r\nHost: ${"a".repeat(64)}.example\r\n\r\n`],
  ["a Host of 254 characters", `GET / HTTP/1.1\r\nHost: ${"a.".repeat(126)}ab\r\n\r\n`],
  ["a Host of 30,000 characters", `GET / HTTP/1.1\r\nHost: ${"a.".repeat(15_000)}a\r\n\r\n`],
  ["a Host with a port above 65535", "GET / HTTP/1.1\r\nHost: a.example:65536\r\n\r\n"],
  ["a Host with a port of six digits", "GET / HTTP/1.1\r\nHost: a.example:000080\r\n\r\n"],
  ["a Host with a negative port", "GET / HTTP/1.1\r\nHost: a.example:-1\r\n\r\n"],
  ["a Host with an empty address", "GET / HTTP/1.1\r\nHost: []\r\n\r\n"],
  ["a Host with an address of dots", "GET / HTTP/1.1\r\nHost: [1.2.3.4]\r\n\r\n"],
  [
    "a Host with an address that is too long",
    "GET / HTTP/1.1\r\nHost: [1:2:3:4:5:6:7:8:9]\r\n\r\n",
  ],
  ["a Host with an address of colons", "GET / HTTP/1.1\r\nHost: [:::]\r\n\r\n"],
  ["a Host with an address and a zone", "GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n"],
  ["a Host with an address without brackets", "GET / HTTP/1.1\r\nHost: ::1\r\n\r\n"],
  ["a Host with something behind an address", "GET / HTTP/1.1\r\nHost: [::1].example\r\n\r\n"],
  ["an absolute target with an empty label", line("GET http://a..example/ HTTP/1.1")],
  ["an absolute target with a port above 65535", line("GET http://a.example:70000/ HTTP/1.1")],
  ["a Host with obs-text", "GET / HTTP/1.1\r\nHost: caf\xe9.example\r\n\r\n"],
  ["a space before the colon of Host", "GET / HTTP/1.1\r\nHost : shop.example\r\n\r\n"],
  ["a user in an absolute target", line("GET http://user@a.example/ HTTP/1.1")],
  ["an absolute target without a host", line("GET http:///a HTTP/1.1")],
  ["an absolute target with a bad port", line("GET http://a.example:x/ HTTP/1.1")],
].map(([name = "", bytes = ""]) => ({ name, bytes }));

const lineEnds: AmbiguousRequest[] = [
  ["bare LF everywhere", `GET / HTTP/1.1\n${HOST}\n\n`],
  ["a bare LF after the request line", `GET / HTTP/1.1\n${HOST}\r\n\r\n`],
  ["a bare LF after a header", `GET / HTTP/1.1\r\n${HOST}\nX: y\r\n\r\n`],
  ["a bare LF for the empty line", `GET / HTTP/1.1\r\n${HOST}\r\n\nGET /b HTTP/1.1\r\n\r\n`],
  ["a bare LF before the empty line", `GET / HTTP/1.1\r\n${HOST}\n\r\n`],
  ["a bare CR after the request line", `GET / HTTP/1.1\r${HOST}\r\n\r\n`],
  ["a bare CR in a value", get("X: a\rb")],
  ["a bare CR at the end of a value", get("X: a\r")],
  ["a bare CR in the target", line("GET /a\rb HTTP/1.1")],
  ["a bare LF in the target", line("GET /a\nb HTTP/1.1")],
  ["a bare LF before the request", `\n${get("X: y")}`],
  ["a bare CR before the request", `\r${get("X: y")}`],
  ["a bare CR behind an empty line", `\r\n\r${get("X: y")}`],
  ["a bare LF behind an empty line", `\r\n\n${get("X: y")}`],
  ["LF CR for CR LF", `GET / HTTP/1.1\n\r${HOST}\n\r\n\r`],
].map(([name = "", bytes = ""]) => ({ name, bytes }));

const fields: AmbiguousRequest[] = [
  ["a folded value", get("X: a\r\n b")],
  ["a folded value with a tab", get("X: a\r\n\tb")],
  ["a first header line that starts with a space", `GET / HTTP/1.1\r\n ${HOST}\r\n\r\n`],
  ["a line without a colon", get("X-Nothing")],
  ["a line with an empty name", get(": a")],
  ["a space in a name", get("X Y: a")],
  ["a name in quotes", get('"X": a')],
  ["a slash in a name", get("X/Y: a")],
  ["a bracket in a name", get("X[0]: a")],
  ["obs-text in a name", get("X\xe9: a")],
  ["a NUL in a name", get("X\x00: a")],
  ["a NUL in a value", get("X: a\x00b")],
  ["a BEL in a value", get("X: a\x07b")],
  ["an ESC in a value", get("X: \x1b[31m")],
  ["a DEL in a value", get("X: a\x7f")],
  ["a DEL in a name", get("X\x7f: a")],
  ["a vertical tab in a value", get("X: a\x0bb")],
].map(([name = "", bytes = ""]) => ({ name, bytes }));

const requestLines: AmbiguousRequest[] = (
  [
    ["no version", "GET /"],
    ["nothing but a method", "GET"],
    ["RTSP by name", "GET / RTSP/1.0"],
    ["ICE by name", "GET / ICE/1.0"],
    ["RTSP's own method and version", "DESCRIBE / RTSP/1.0"],
    ["RTSP 1.1", "GET / RTSP/1.1"],
    ["HTTP/0.9 by name", "GET / HTTP/0.9", 505],
    ["HTTP/1.2", "GET / HTTP/1.2", 505],
    ["HTTP/2.0", "GET / HTTP/2.0", 505],
    ["HTTP/11", "GET / HTTP/11", 505],
    ["HTTP/1", "GET / HTTP/1", 505],
    ["HTTP/1.10", "GET / HTTP/1.10", 505],
    ["HTTP/01.1", "GET / HTTP/01.1", 505],
    ["HTTP/1.1 in lower case", "GET / http/1.1"],
    ["HTTP/1,1", "GET / HTTP/1,1"],
    ["HTTP/ 1.1", "GET / HTTP/ 1.1"],
    ["another protocol", "GET / HTTQ/1.1"],
    ["something after the version", "GET / HTTP/1.1 x"],
    ["a space after the version", "GET / HTTP/1.1 "],
    ["a tab between the parts", "GET\t/\tHTTP/1.1"],
    ["two spaces after the method", "GET  / HTTP/1.1"],
    ["two spaces before the version", "GET /  HTTP/1.1"],
    ["a space in the target", "GET /a b HTTP/1.1"],
    ["a space before the method", " GET / HTTP/1.1"],
    ["a form feed after the method", "GET\x0c/ HTTP/1.1"],
    ["a method in brackets", "(GET) / HTTP/1.1"],
    ["a method with a colon", "GET: / HTTP/1.1"],
    ["obs-text in the method", "G\xc9T / HTTP/1.1"],
    ["a NUL in the method", "G\x00T / HTTP/1.1"],
    ["an empty target", "GET  HTTP/1.1"],
    ["a target without a slash", "GET a/b HTTP/1.1"],
    ["a target that is only a query", "GET ?a HTTP/1.1"],
    ["a fragment in the target", "GET /a#b HTTP/1.1"],
    ["a NUL in the target", "GET /a\x00 HTTP/1.1"],
    ["a DEL in the target", "GET /a\x7f HTTP/1.1"],
    ["obs-text in the target", "GET /caf\xe9 HTTP/1.1"],
    ["* for GET", "GET * HTTP/1.1"],
    ["an authority for GET", "GET shop.example:80 HTTP/1.1"],
    ["another scheme in the target", "GET ftp://shop.example/ HTTP/1.1"],
    ["the preface of HTTP/2", "PRI * HTTP/2.0", 505],
  ] as [string, string, number?][]
).map(([name, bytes, status]) => ({
  name,
  bytes: line(bytes),
  ...(status === undefined ? {} : { status }),
}));

const other: AmbiguousRequest[] = [
  { name: "a TLS handshake", bytes: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" },
  {
    name: "an expectation that nobody knows",
    bytes: get("Expect: a-pony"),
    status: 417,
  },
  { name: "CONNECT", bytes: line("CONNECT shop.example:443 HTTP/1.1"), status: 405 },
];

const chunkBodies: AmbiguousRequest[] = [
  ["a chunk size that is empty", "\r\nhello\r\n0\r\n\r\n"],
  ["a chunk size with a sign", "+5\r\nhello\r\n0\r\n\r\n"],
  ["a negative chunk size", "-5\r\nhello\r\n0\r\n\r\n"],
  ["a chunk size with 0x", "0x5\r\nhello\r\n0\r\n\r\n"],
  ["a chunk size with a letter beyond F", "5g\r\nhello\r\n0\r\n\r\n"],
  ["a chunk size with an underscore", "0_5\r\nhello\r\n0\r\n\r\n"],
  ["a chunk size with a space before it", " 5\r\nhello\r\n0\r\n\r\n"],
  ["a chunk size with a space after it", "5 \r\nhello\r\n0\r\n\r\n"],
  ["a chunk size with a tab after it", "5\t\r\nhello\r\n0\r\n\r\n"],
  ["a chunk size beyond 2^64", "10000000000000005\r\nhello\r\n0\r\n\r\n"],
  ["a chunk size of 400 digits", `${"0".repeat(400)}5\r\nhello\r\n0\r\n\r\n`],
  ["a chunk size in quotes", '"5"\r\nhello\r\n0\r\n\r\n'],
  ["a chunk size of a comma list", "5,5\r\nhello\r\n0\r\n\r\n"],
  ["a chunk size with a NUL", "5\x00\r\nhello\r\n0\r\n\r\n"],
  ["a bare LF after a chunk size", "5\nhello\r\n0\r\n\r\n"],
  ["a bare CR after a chunk size", "5\rhello\r\n0\r\n\r\n"],
  ["a bare LF after chunk data", "5\r\nhello\n0\r\n\r\n"],
  ["nothing after chunk data", "5\r\nhello0\r\n\r\n"],
  ["a chunk that is longer than its size", "5\r\nhelloworld\r\n0\r\n\r\n"],
  ["a chunk that is shorter than its size", "5\r\nhell\r\n0\r\n\r\n"],
  ["two bytes other than CR LF after chunk data", "5\r\nhelloXX0\r\n\r\n"],
  ["a byte other than CR before the LF after chunk data", "5\r\nhelloX\n0\r\n\r\n"],
  ["a byte other than LF after the CR after chunk data", "5\r\nhello\rX0\r\n\r\n"],
  ["a bare LF in a chunk extension", "5;a\nb\r\nhello\r\n0\r\n\r\n"],
  ["a bare CR in a chunk extension", "5;a\rb\r\nhello\r\n0\r\n\r\n"],
  ["a NUL in a chunk extension", "5;a\x00b\r\nhello\r\n0\r\n\r\n"],
  ["a chunk extension without end", `5;${"a".repeat(20_000)}\r\nhello\r\n0\r\n\r\n`],
  ["a bare LF after the last chunk", "5\r\nhello\r\n0\n\r\n"],
  ["bare LFs for the end", "5\r\nhello\r\n0\r\n\n"],
  ["a trailer without a colon", "5\r\nhello\r\n0\r\nnothing\r\n\r\n"],
  ["a trailer with a space before its colon", "5\r\nhello\r\n0\r\nX : y\r\n\r\n"],
  ["a folded trailer", "5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n"],
  ["a bare LF in a trailer", "5\r\nhello\r\n0\r\nX: y\nZ: a\r\n\r\n"],
  ["a NUL in a trailer", "5\r\nhello\r\n0\r\nX: \x00\r\n\r\n"],
  ["trailers without end", `5\r\nhello\r\n0\r\n${"X: y\r\n".repeat(20_000)}\r\n`],
  ["a request where the trailers should be", "5\r\nhello\r\n0\r\nGET /x HTTP/1.1\r\n\r\n"],
].map(([name = "", body = ""]) => ({ name, bytes: chunks(body), inBody: true as const }));

export const ambiguousRequests: readonly AmbiguousRequest[] = [
  ...framing,
  ...codings,
  ...codingLines,
  ...lengthLines,
  ...hosts,
  ...lineEnds,
  ...fields,
  ...requestLines,
  ...other,
  ...chunkBodies,
];
