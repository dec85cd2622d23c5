/** Generated conversations of clients: valid requests, and such as a seeded generator has broken. */
import { chunked, requestBytes } from "../support/http.ts";
import { mutated, pick } from "../support/mutation.ts";
import { cuts } from "../support/random.ts";

/** The bytes of one connection; the last request asks to close it. */
export interface Conversation {
  readonly requests: readonly string[];
  readonly bytes: Buffer;
  /** Where the bytes are cut when they are sent. */
  readonly cuts: readonly number[];
}

const methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "PURGE"];
const paths = [
  "/",
  "/a/b?c=d",
  "/length",
  "/chunked?x=%20&y",
  "/close-delimited",
  "/empty",
  "/not-modified",
  "/a//b/../c;d=e",
  "/?",
  "/%zz~'()*!$&+,:@=",
];
const headers = [
  "Accept: */*",
  "Cookie: a=1",
  "Cookie: b=2",
  "X-A: b",
  "x-a:  c ",
  "X-Empty:",
  "X-Latin: caf\xe9",
  "User-Agent: test/1.0 (a, b)",
  "Connection: keep-alive",
  "Connection: x-a",
  "Keep-Alive: timeout=5",
  "TE: trailers",
  "Expect: 100-continue",
  "X-Forwarded-For: 6.6.6.6",
  "Forwarded: for=6.6.6.6",
  "X_User: root",
  "Upgrade: websocket",
  "Authorization: Basic eDp5",
];
const bodies = [
  "",
  "a",
  "hello world",
  "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
  "x".repeat(3_000),
];
const hosts = ["Host: shop.example", "host: Shop.Example:8080", "HOST:[::1]:81", "Host: a"];

function validRequest(random: () => number): string {
  const method = pick(random, methods);
  const chosen = [pick(random, hosts)];
  for (let left = Math.floor(random() * 6); left > 0; left -= 1) chosen.push(pick(random, headers));
  let target = pick(random, paths);
  if (random() < 0.05) target = `http://other.example:81${target}`;
  if (method === "OPTIONS" && random() < 0.2) target = "*";
  const body = pick(random, bodies);
  const kind = random();
  if (kind < 0.5) return requestBytes(`${method} ${target}`, chosen);
  if (kind < 0.75) {
    chosen.push(`Content-Length: ${body.length}`);
    return requestBytes(`${method} ${target}`, chosen, body);
  }
  chosen.push("Transfer-Encoding: chunked");
  const half = Math.ceil(body.length / 2);
  const pieces = [body.slice(0, half), body.slice(half)].filter((piece) => piece !== "");
  return requestBytes(`${method} ${target}`, chosen, chunked(pieces).toString("latin1"));
}

const last = requestBytes("GET /last", ["Connection: close"]);

export function conversation(random: () => number): Conversation {
  const requests = Array.from({ length: 1 + Math.floor(random() * 3) }, () => {
    const valid = validRequest(random);
    return random() < 0.5 ? mutated(random, valid, 2) : valid;
  });
  const bytes = Buffer.from([...requests, last].join(""), "latin1");
  return { requests, bytes, cuts: random() < 0.7 ? [] : cuts(random, bytes.length, 4) };
}
