/** Heads whose every byte comes alone, against each limit and each refusal. */
import { expect } from "chai";
import type { EngineLimits } from "../../gateway/engine/engine.ts";
import { describeEngines } from "../support/engines.ts";
import { fieldOf, ok, type RawClient, requestBytes, until } from "../support/http.ts";

interface SlowHead {
  readonly name: string;
  readonly limits: Partial<EngineLimits>;
  readonly bytes: string;
  readonly status: number;
  readonly code: string;
}

const slowHeads: readonly SlowHead[] = [
  {
    name: "that is too large",
    limits: { maxHeadBytes: 300 },
    bytes: requestBytes("GET /", [`X: ${"x".repeat(300)}`]),
    status: 431,
    code: "head_too_large",
  },
  {
    name: "with too many lines",
    limits: { maxHeaders: 3 },
    bytes: requestBytes("GET /", ["A: 1", "B: 2", "C: 3"]),
    status: 431,
    code: "too_many_headers",
  },
  {
    name: "whose target is a little too long",
    limits: { maxTargetBytes: 50 },
    bytes: requestBytes(`GET /${"a".repeat(50)}`),
    status: 414,
    code: "target_too_long",
  },
  {
    name: "whose target does not end",
    limits: { maxTargetBytes: 50, headTimeoutMs: 3_000 },
    bytes: `GET /${"a".repeat(500)}`,
    status: 414,
    code: "target_too_long",
  },
  {
    name: "that announces a body too large",
    limits: { maxBodyBytes: 10 },
    bytes: requestBytes("POST /", ["Content-Length: 11"]),
    status: 413,
    code: "body_too_large",
  },
  {
    name: "that stops before its end",
    limits: { headTimeoutMs: 200 },
    bytes: requestBytes("GET /").slice(0, -1),
    status: 408,
    code: "head_timeout",
  },
  {
    name: "with a line that ends with LF alone, before its end",
    limits: {},
    bytes: "GET / HTTP/1.1\nHost: ",
    status: 400,
    code: "bad_line_end",
  },
  {
    name: "with a CR that no LF follows, before its end",
    limits: {},
    bytes: "GET / HTTP/1.1\r\nX: a\rb",
    status: 400,
    code: "bad_line_end",
  },
  {
    name: "that cannot become a request, at its first byte",
    limits: {},
    bytes: "\x16",
    status: 400,
    code: "bad_request_line",
  },
];

describeEngines("heads that come byte by byte", (bench) => {
  async function drip(client: RawClient, bytes: string): Promise<void> {
    client.send("", "GET");
    for (const byte of bytes) {
      if (client.ended || client.waiting > 0) return;
      await client.sendSplit(byte, []);
    }
  }

  for (const { name, limits, bytes, status, code } of slowHeads) {
    it(`are refused with ${status} ${code}: one ${name}`, async () => {
      const origin = await bench.origin(ok());
      const gateway = await bench.gateway(origin, { limits });
      const client = await bench.client(gateway);
      await drip(client, bytes);
      const answer = await client.answer();
      expect(answer.status).to.equal(status);
      expect(fieldOf(answer, "Connection")).to.equal("close");
      expect(answer.body.toString()).to.contain(code);
      await client.whenClosed();
      expect(client.waiting).to.equal(0);
      await until("it is gone", () => gateway.engine.stats().clientConnections === 0);
      expect(gateway.engine.stats()).to.deep.include({ exchanges: 0, refused: { [code]: 1 } });
      expect(origin.connections).to.have.length(0);
      expect(gateway.ended).to.have.length(0);
    });
  }

  it("are served when they keep to every limit exactly, one after the other", async () => {
    const origin = await bench.origin(ok());
    const bytes = requestBytes(`POST /${"a".repeat(49)}`, ["Content-Length: 3", "X: y"]);
    const gateway = await bench.gateway(origin, {
      limits: { maxHeadBytes: bytes.length, maxHeaders: 3, maxTargetBytes: 50, maxBodyBytes: 3 },
    });
    const client = await bench.client(gateway);
    for (let n = 1; n <= 3; n += 1) {
      client.send("", "POST");
      await client.sendSplit(
        `${bytes}abc`,
        Array.from({ length: bytes.length + 3 }, (_, index) => index),
      );
      expect((await client.answer()).status).to.equal(200);
      expect(origin.requests[n - 1]?.body.toString()).to.equal("abc");
    }
    expect(gateway.engine.stats().refused).to.deep.equal({});
  });

  it("may follow blank lines that come byte by byte too", async () => {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin);
    const client = await bench.client(gateway);
    const bytes = `\r\n\r\n${requestBytes("GET /")}`;
    for (let n = 0; n < 2; n += 1) {
      client.send("", "GET");
      await client.sendSplit(
        bytes,
        Array.from(bytes, (_, index) => index),
      );
      expect((await client.answer()).status).to.equal(200);
    }
  });

  it("are not begun by a blank line: what follows is silence between requests, not a late head", async () => {
    const origin = await bench.origin(ok());
    const limits = { headTimeoutMs: 150, idleTimeoutMs: 600 };
    for (const blank of ["\r\n", "\r\n\r\n"]) {
      for (const isSplit of [false, true]) {
        const gateway = await bench.gateway(origin, { limits });
        const client = await bench.client(gateway);
        await client.request(requestBytes("GET /"));
        const { receivedBytes } = client;
        await client.sendSplit(blank, isSplit ? [1, 2, 3].slice(0, blank.length - 1) : []);
        await client.whenClosed();
        expect(client.receivedBytes - receivedBytes, JSON.stringify([blank, isSplit])).to.equal(0);
        expect(gateway.engine.stats().refused).to.deep.equal({});
      }
    }
  });

  it("cannot be held open for ever by blank lines", async () => {
    const origin = await bench.origin(ok());
    const limits = { headTimeoutMs: 300, idleTimeoutMs: 300 };
    const gateway = await bench.gateway(origin, { limits });
    const client = await bench.client(gateway);
    let next = 0;
    const dripping = setInterval(() => {
      client.send("\r\n".charAt(next % 2));
      next += 1;
    }, 20);
    try {
      await client.whenClosed();
    } finally {
      clearInterval(dripping);
    }
    expect(client.receivedBytes).to.equal(0);
  });
});
