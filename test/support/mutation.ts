/** A seeded generator that breaks bytes where parsers of HTTP disagree. Bytes are latin1 strings. */

/** What parsers disagree on. */
const snippets: readonly string[] = [
  ..."\r\n\t \x00\x0b\x0c\x7f\x80\x85\xa0\xff:;,=0159afFx+-\"'#?/%*@[]\\".split(""),
  "\r\n",
  "\r\n\r\n",
  "\r\n ",
  "\n\n",
  "\r",
  " :",
  "Content-Length: 3\r\n",
  "Content-Length: 03\r\n",
  "content-length:+3\r\n",
  "Transfer-Encoding: chunked\r\n",
  "transfer-encoding:identity\r\n",
  "Transfer-Encoding: gzip, chunked\r\n",
  "Host: evil.example\r\n",
  "Host:\r\n",
  "Connection: host\r\n",
  "Connection: close\r\n",
  "Connection: keep-alive, x-a\r\n",
  "Expect: 100-continue\r\n",
  "Expect: more\r\n",
  "X-A: b\r\n",
  "GET /smuggled HTTP/1.1\r\nHost: evil.example\r\n\r\n",
  "0\r\n\r\n",
  "HTTP/1.1",
  "HTTP/1.0",
  "HTTP/2.0",
  "http://a.example",
];

export function pick<T>(random: () => number, from: readonly T[]): T {
  const item = from[Math.floor(random() * from.length)];
  if (item === undefined) throw new Error("nothing to pick from");
  return item;
}

/** One to `most` changes: a snippet put in or over, bytes left out, bytes repeated, or a byte replaced. */
export function mutated(random: () => number, bytes: string, most = 4): string {
  let out = bytes;
  for (let left = 1 + Math.floor(random() * most); left > 0; left -= 1) {
    const at = Math.floor(random() * out.length);
    const span = Math.floor(random() * 12);
    const kind = random();
    if (kind < 0.45) out = out.slice(0, at) + pick(random, snippets) + out.slice(at);
    else if (kind < 0.6) out = out.slice(0, at) + pick(random, snippets) + out.slice(at + span);
    else if (kind < 0.75) out = out.slice(0, at) + out.slice(at + span);
    else if (kind < 0.85) out = out.slice(0, at + span) + out.slice(at);
    else {
      const byte = String.fromCharCode(Math.floor(random() * 256));
      out = out.slice(0, at) + byte + out.slice(at + 1);
    }
  }
  return out;
}
