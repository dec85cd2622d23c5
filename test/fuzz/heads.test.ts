/**
 * The heads' parsers against a plain judge of the same rules: what one takes the other takes, and both
 * read the same out of it, whatever the bytes.
 */
import { expect } from "chai";
import { defaultLimits } from "../../gateway/engine/engine.ts";
import { RequestHead } from "../../gateway/engine/message/request-head.ts";
import { ResponseHead } from "../../gateway/engine/message/response-head.ts";
import { fromEnvironment, seedOf } from "../support/effort.ts";
import { mutated, pick } from "../support/mutation.ts";
import { seeded } from "../support/random.ts";
import { judgeAnswer, judgeRequest, withoutBlanks } from "./head-oracle.ts";

const inputs = fromEnvironment("FUZZ_INPUTS", 30_000);

const requests: readonly string[] = [
  "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /a?b=c HTTP/1.1\r\nHost: shop.example:80\r\nAccept: */*\r\nCookie: a=1\r\ncookie: b\r\n\r\n",
  "POST /x HTTP/1.1\r\nhost: [::1]:8080\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n",
  "PUT /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost:a\r\nTE: trailers\r\nConnection: TE\r\n\r\n",
  "GET http://other.example:81?x HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-A\r\nX-A: b\r\n\r\n",
  "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 1\r\n\r\n",
  "OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
  "GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\nX-Latin: caf\xe9\r\nX-Empty:\r\n\r\n",
  "HEAD / HTTP/1.1\r\nX-Forwarded-For: 1.2.3.4\r\nHost: a\r\nX-Request-Id: 7\r\nKeep-Alive: 5\r\n\r\n",
  "GET / HTTP/1.1\r\nX_User: root\r\nX.A: b\r\nHost: a\r\nForwarded: for=a\r\nX-Real-Ip: 1\r\nX-B: c_d\r\n\r\n",
];

const answers: readonly string[] = [
  "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-A: b\r\n\r\n",
  "HTTP/1.1 200\r\ncontent-length:0\r\n\r\n",
  "HTTP/1.1 404 \r\nTransfer-Encoding: chunked\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n",
  "HTTP/1.0 302 Found\r\nLocation: /\r\nConnection: keep-alive\r\n\r\n",
  "HTTP/1.1 204 No Content\r\nConnection: close, X-A\r\nX-A: b\r\n\r\n",
  'HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\nETag: "a"\r\n\r\n',
  "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
  "HTTP/1.1 500 Alles kaputt \xfc\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\n\r\n",
];

/** Long and close to valid: where a careless expression would try every way to match. */
function long(random: () => number): string {
  const unit = pick(random, ["A: b\r\n", "A:", " ", "\t ", "a", "a,", "\r", "A:\r\n", ":", "\xff"]);
  const start = pick(random, ["GET / HTTP/1.1\r\nHost: a\r\n", "HTTP/1.1 200 OK\r\n", "GET /", ""]);
  const end = pick(random, [
    "\r\n\r\n",
    "\n\r\n\r\n",
    "\x00\r\n\r\n",
    "A: b\r\n\r\n",
    " :\r\n\r\n",
  ]);
  return start + unit.repeat(1 + Math.floor(random() * 8_000)) + end;
}

/** The bytes of a generated head, up to its first empty line; and what may stand behind it. */
function generated(random: () => number, valid: readonly string[]): string {
  const kind = random();
  if (kind < 0.001) return long(random);
  if (kind < 0.02) {
    const bytes = Array.from({ length: 1 + Math.floor(random() * 60) }, () =>
      String.fromCharCode(Math.floor(random() * 256)),
    );
    return `${bytes.join("")}\r\n\r\n`;
  }
  if (kind < 0.1) return pick(random, valid);
  // Two halves of different heads, then broken further.
  if (kind < 0.2) {
    const [one, other] = [pick(random, valid), pick(random, valid)];
    const half = one.slice(0, Math.floor(random() * one.length));
    return mutated(random, half + other.slice(Math.floor(random() * other.length)));
  }
  return mutated(random, pick(random, valid));
}

function headOf(bytes: string): { readonly text: string; readonly end: number } {
  const found = bytes.indexOf("\r\n\r\n");
  return found === -1
    ? { text: `${bytes}\r\n\r\n`, end: `${bytes}\r\n\r\n`.indexOf("\r\n\r\n") + 4 }
    : { text: bytes, end: found + 4 };
}

const limits = { ...defaultLimits, maxTargetBytes: 60, maxHeaders: 12 };

describe("fuzz: heads", function () {
  this.timeout(600_000);

  it(`of requests are read as the rules say (${inputs} inputs)`, () => {
    const random = seeded(seedOf());
    const head = new RequestHead();
    let taken = 0;
    for (let n = 0; n < inputs; n += 1) {
      const { text, end } = headOf(generated(random, requests));
      const bytes = text.slice(0, end);
      const refusal = head.read(text, end, limits);
      const judged = judgeRequest(bytes, limits);
      if ((refusal === null) !== (judged !== null)) {
        expect.fail(`${JSON.stringify(bytes)}: ${refusal?.code ?? "taken"}, not so the judge`);
      }
      if (judged === null) {
        if (refusal !== null && (refusal.status < 400 || refusal.status > 505 || !refusal.code)) {
          expect.fail(`${JSON.stringify(bytes)}: refused with ${refusal.status}`);
        }
        continue;
      }
      taken += 1;
      const { lines, ...rest } = judged;
      const read = {
        method: head.method,
        target: head.target,
        minor: head.version === "1.0" ? 0 : 1,
        authority: head.authority,
        contentLength: head.contentLength,
        isChunked: head.isStreamed,
        keepAlive: head.keepAlive,
        expectsContinue: head.expectsContinue,
      };
      expect(read, JSON.stringify(bytes)).to.deep.equal(rest);
      expect(head.fields.toString(), JSON.stringify(bytes)).to.equal(forwarded(bytes, lines));
    }
    expect(taken, "some are valid").to.be.greaterThan(inputs / 20);
    expect(taken, "some are not").to.be.lessThan(inputs * 0.9);
  });

  it(`of answers are read as the rules say (${inputs} inputs)`, () => {
    const random = seeded(seedOf() + 1);
    const head = new ResponseHead();
    let taken = 0;
    for (let n = 0; n < inputs; n += 1) {
      const { text, end } = headOf(generated(random, answers));
      const bytes = text.slice(0, end);
      const method = pick(random, ["GET", "HEAD", "POST"]);
      const wrong = head.read(text, end, method);
      const judged = judgeAnswer(bytes, method);
      if ((wrong === "") !== (judged !== null)) {
        expect.fail(`${JSON.stringify(bytes)}: ${wrong || "taken"}, not so the judge`);
      }
      if (judged === null) continue;
      taken += 1;
      const { status, framing, contentLength, keepAlive } = head;
      expect({ status, framing, contentLength, keepAlive }, JSON.stringify(bytes)).to.deep.equal(
        judged,
      );
    }
    expect(taken, "some are valid").to.be.greaterThan(inputs / 20);
    expect(taken, "some are not").to.be.lessThan(inputs * 0.95);
  });
});

const neverForwarded = new Set([
  "connection",
  "content-length",
  "expect",
  "cf-connecting-ip",
  "client-ip",
  "fastly-client-ip",
  "forwarded",
  "forwarded-for",
  "front-end-https",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
  "true-client-ip",
  "x-client-ip",
  "x-cluster-client-ip",
  "x-forwarded",
  "x-original-for",
  "x-original-forwarded-for",
  "x-original-host",
  "x-original-proto",
  "x-real-ip",
  "x-request-id",
  "x-scheme",
  "x-url-scheme",
  "cf-connecting-ipv6",
  "cf-pseudo-ipv4",
  "cloudfront-viewer-address",
  "cloudfront-forwarded-proto",
  "fly-client-ip",
  "proxy",
  "proxy-client-ip",
  "wl-proxy-client-ip",
  "wl-proxy-ssl",
  "x-appengine-remote-addr",
  "x-appengine-user-ip",
  "x-azure-clientip",
  "x-azure-socketip",
  "x-envoy-external-address",
  "x-originating-ip",
  "x-proxyuser-ip",
  "x-remote-addr",
  "x-remote-ip",
  "x-envoy-original-path",
  "x-host",
  "x-http-host-override",
  "x-original-method",
  "x-original-uri",
  "x-original-url",
  "x-rewrite-url",
]);

/** Letters, digits and hyphens: what else is in a name could be taken for a hyphen. */
function isPlain(name: string): boolean {
  for (const character of name.toLowerCase()) {
    const isLetter = character >= "a" && character <= "z";
    if (!isLetter && !(character >= "0" && character <= "9") && character !== "-") return false;
  }
  return true;
}

/** The lines that go on, byte for byte as they came: not those of this hop, nor those it names. */
function forwarded(head: string, fields: readonly (readonly [string, string])[]): string {
  const named = fields
    .filter(([name]) => name.toLowerCase() === "connection")
    .flatMap(([, value]) => value.split(","))
    .map((name) => withoutBlanks(name).toLowerCase())
    .filter((name) => name !== "via");
  return head
    .slice(0, -4)
    .split("\r\n")
    .slice(1)
    .filter((_, index) => {
      const name = fields[index]?.[0].toLowerCase() ?? "";
      if (name.startsWith("x-forwarded-") || !isPlain(name)) return false;
      return !neverForwarded.has(name) && !named.includes(name);
    })
    .map((line) => `${line}\r\n`)
    .join("");
}
