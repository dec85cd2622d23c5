/**
 * Valid requests with a few bytes changed by a seeded generator: whatever comes, the origin sees
 * canonical requests only, the client well-formed answers only, and nothing is left behind.
 */
import { expect } from "chai";
import { describeEngines } from "../support/engines.ts";
import { chunked, fieldOf, fieldsOf, ok, requestBytes, type TestGateway } from "../support/http.ts";
import { cuts, seeded } from "../support/random.ts";

const CLIENTS = 600;
const AT_ONCE = 100;

const valid: readonly string[] = [
  requestBytes("GET /a?b=c", ["Accept: */*", "Cookie: a=b"]),
  requestBytes("POST /length", ["Content-Length: 11"], "hello world"),
  requestBytes("POST /chunked", ["Transfer-Encoding: chunked"], `${chunked(["hello", " world"])}`),
  requestBytes("PUT /trailer", ["Transfer-Encoding: chunked"], "3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n"),
  requestBytes("GET /close", ["Connection: close, X-A", "X-A: b"]),
  requestBytes("OPTIONS *", ["Max-Forwards: 1"]),
  "GET http://other.example:81/x HTTP/1.1\r\nHost: other.example:81\r\n\r\n",
  "POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc",
];

/** What parsers disagree on. */
const snippets: readonly string[] = [
  ..."\r\n\t \x00\x0b\x7f\x80\xff:;,=0159afFx+-\"'#?/%".split(""),
  "\r\n",
  "\r\n\r\n",
  "\r\n ",
  "Content-Length: 3\r\n",
  "Transfer-Encoding: chunked\r\n",
  "transfer-encoding:identity\r\n",
  "Host: evil.example\r\n",
  "Connection: host\r\n",
  "GET /smuggled HTTP/1.1\r\nHost: evil.example\r\n\r\n",
  "0\r\n\r\n",
  "HTTP/1.1",
];

/** One to four changes: a snippet put in, bytes left out, or bytes repeated. */
function mutated(random: () => number, bytes: string): string {
  let out = bytes;
  for (let left = 1 + Math.floor(random() * 4); left > 0; left -= 1) {
    const at = Math.floor(random() * out.length);
    const span = Math.floor(random() * 12);
    const kind = random();
    const snippet = snippets[Math.floor(random() * snippets.length)] ?? "";
    if (kind < 0.5) out = out.slice(0, at) + snippet + out.slice(at);
    else if (kind < 0.7) out = out.slice(0, at) + snippet + out.slice(at + span);
    else if (kind < 0.85) out = out.slice(0, at) + out.slice(at + span);
    else out = out.slice(0, at + span) + out.slice(at);
  }
  return out;
}

describeEngines("mutated requests", (bench) => {
  for (const seed of [1, 2, 3]) {
    it(`never reach the origin as anything but canonical requests (seed ${seed})`, async () => {
      const random = seeded(seed);
      const origin = await bench.origin((request, connection) =>
        connection.send(ok(request.target)),
      );
      const gateway = await bench.gateway(origin, {
        limits: { headTimeoutMs: 200, bodyTimeoutMs: 200, idleTimeoutMs: 200 },
      });
      for (let done = 0; done < CLIENTS; done += AT_ONCE) {
        await Promise.all(Array.from({ length: AT_ONCE }, () => converse(gateway, random)));
      }
      expect(origin.requests.length, "some stay valid").to.be.greaterThan(CLIENTS / 2);
      for (const request of origin.requests) {
        expect(request.version).to.equal("HTTP/1.1");
        expect(request.target).to.match(/^(?:\/[!-~]*|\*)$/);
        expect(fieldsOf(request, "Host"), String(request.raw)).to.have.length(1);
        expect(fieldOf(request, "X-Forwarded-For")).to.equal("127.0.0.1");
        expect(fieldOf(request, "X-Request-Id")).to.match(/^test-[0-9a-z]+$/);
        const named = fieldOf(request, "Connection")?.toLowerCase();
        expect([undefined, "te", "upgrade"]).to.include(named);
      }
    });
  }

  /** Sends a few requests, some of them mutated, in random pieces, and waits for the end. */
  async function converse(gateway: TestGateway, random: () => number): Promise<void> {
    let bytes = "";
    for (let left = 1 + Math.floor(random() * 4); left > 0; left -= 1) {
      const request = valid[Math.floor(random() * valid.length)] ?? "";
      bytes += random() < 0.6 ? mutated(random, request) : request;
    }
    const pieces = random() < 0.5 ? [] : cuts(random, bytes.length, 5);
    // From here on, others take their turns: what is random was drawn in the same order each time.
    const client = await bench.client(gateway);
    await client.sendSplit(bytes, pieces);
    await client.whenClosed();
    expect(client.violation, JSON.stringify(bytes)).to.equal(null);
  }
});
