/** What a client may not exceed, and the answer that each limit has. */
import { expect } from "chai";
import { describeEngines } from "../support/engines.ts";
import {
  answerBytes,
  type ClientAnswer,
  chunked,
  ok,
  type RawClient,
  requestBytes,
  until,
} from "../support/http.ts";

describeEngines("limits", (bench) => {
  async function refused(client: RawClient): Promise<ClientAnswer> {
    const answer = await client.answer();
    await client.whenClosed();
    expect(client.waiting).to.equal(0);
    return answer;
  }

  it("a head that is too large is refused with 431, whole or still coming", async () => {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin, { limits: { maxHeadBytes: 1000 } });
    for (const bytes of [
      requestBytes("GET /", [`X-Pad: ${"x".repeat(1000)}`]),
      requestBytes("GET /", [`X-Pad: ${"x".repeat(1000)}`]).slice(0, -2),
      `${requestBytes(
        "GET /",
        Array.from({ length: 300 }, () => "A: b"),
      ).slice(0, -2)}`,
    ]) {
      const client = await bench.client(gateway);
      client.send(bytes, "GET");
      expect((await refused(client)).status).to.equal(431);
    }
    const client = await bench.client(gateway);
    expect(
      (await client.request(requestBytes("GET /", [`X: ${"x".repeat(800)}`]))).status,
    ).to.equal(200);
    expect(origin.requests).to.have.length(1);
  });

  it("a head that never ends is refused though it comes in small pieces", async () => {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin, { limits: { maxHeadBytes: 1000 } });
    const client = await bench.client(gateway);
    client.send("GET / HTTP/1.1\r\nHost: shop.example\r\n", "GET");
    for (let n = 0; n < 100 && !client.ended; n += 1) {
      await client.sendSplit(`X-${n}: ${"y".repeat(20)}\r\n`, [5]);
    }
    expect((await refused(client)).status).to.equal(431);
    expect(origin.connections).to.have.length(0);
  });

  it("a Connection that names more fields than there may be is refused with 431", async () => {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin, { limits: { maxHeaders: 10 } });
    const named = (count: number) => Array.from({ length: count }, (_, n) => `x-${n}`).join(",");
    const passing = await bench.client(gateway);
    const answer = await passing.request(requestBytes("GET /", [`Connection: ${named(10)}`]));
    expect(answer.status).to.equal(200);
    for (const lines of [
      [`Connection: ${named(11)}`],
      [`Connection: ${named(6)}`, `Connection: ${named(5)}`],
      [`Connection: ${"close,".repeat(5_000)}`],
    ]) {
      const client = await bench.client(gateway);
      client.send(requestBytes("GET /", lines), "GET");
      expect((await refused(client)).status).to.equal(431);
    }
    expect(origin.requests).to.have.length(1);
  });

  it("a target that is too long is refused with 414", async () => {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin, { limits: { maxTargetBytes: 100 } });
    const client = await bench.client(gateway);
    expect((await client.request(requestBytes(`GET /${"a".repeat(99)}`))).status).to.equal(200);
    client.send(requestBytes(`GET /${"a".repeat(100)}`), "GET");
    expect((await refused(client)).status).to.equal(414);
    expect(origin.requests).to.have.length(1);
  });

  it("a target that never ends is refused with 414 or 431", async () => {
    const origin = await bench.origin(ok());
    const client = await bench.client(await bench.gateway(origin));
    client.send(`GET /${"a".repeat(40_000)}`, "GET");
    expect([414, 431]).to.include((await refused(client)).status);
  });

  it("a body that is announced too large is refused with 413 before it comes", async () => {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin, { limits: { maxBodyBytes: 100 } });
    const client = await bench.client(gateway);
    const fits = await client.request(
      requestBytes("POST /", ["Content-Length: 100"], "x".repeat(100)),
    );
    expect(fits.status).to.equal(200);
    client.send(requestBytes("POST /", ["Content-Length: 101"]), "POST");
    expect((await refused(client)).status).to.equal(413);
    expect(origin.requests).to.have.length(1);
  });

  it("a chunked body that grows too large is refused with 413 and never becomes whole", async () => {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin, { limits: { maxBodyBytes: 100 } });
    const client = await bench.client(gateway);
    const head = requestBytes("POST /", ["Transfer-Encoding: chunked"]);
    client.send(head, "POST");
    client.send(chunked(["x".repeat(60), "x".repeat(40)]));
    expect((await client.answer()).status).to.equal(200);
    client.send(head, "POST");
    client.send(chunked(["x".repeat(60), "x".repeat(41)]));
    expect((await refused(client)).status).to.equal(413);
    expect(origin.requests).to.have.length(1);
    await gateway.outcomeOf(1);
  });

  it("a head that takes too long is refused with 408", async () => {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin, { limits: { headTimeoutMs: 100 } });
    for (const bytes of ["G", "GET / HTTP/1.1\r\nHost: shop.example\r\n"]) {
      const client = await bench.client(gateway);
      client.send(bytes, "GET");
      expect((await refused(client)).status).to.equal(408);
    }
    expect(origin.connections).to.have.length(0);
  });

  it("a head that comes byte by byte has no more time than any other", async () => {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin, { limits: { headTimeoutMs: 150 } });
    const client = await bench.client(gateway);
    client.send("GET / HTTP/1.1\r\nX-Slow: ", "GET");
    const dripping = setInterval(() => client.send("x"), 10);
    try {
      await until("it was refused", () => client.waiting > 0 || client.ended);
    } finally {
      clearInterval(dripping);
    }
    expect((await client.answer()).status).to.equal(408);
  });

  it("an origin's head that is too large is answered with 502", async () => {
    const origin = await bench.origin((_, connection) =>
      connection.send(answerBytes("200 OK", [`X-Pad: ${"x".repeat(5000)}`, "Content-Length: 0"])),
    );
    const gateway = await bench.gateway(origin, { limits: { maxHeadBytes: 2000 } });
    const client = await bench.client(gateway);
    expect((await client.request(requestBytes("GET /"))).status).to.equal(502);
    await (await origin.connection()).whenClosed();
    expect((await gateway.outcome()).failures[0]?.code).to.equal("bad_response");
  });

  it("are counted by what they refused", async () => {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin, { limits: { maxTargetBytes: 100 } });
    for (const bytes of [
      requestBytes(`GET /${"a".repeat(200)}`),
      requestBytes(`GET /${"b".repeat(200)}`),
      "GET / HTTP/1.1\r\n\r\n",
    ]) {
      const client = await bench.client(gateway);
      client.send(bytes, "GET");
      await refused(client);
    }
    const counts = Object.values(gateway.engine.stats().refused).sort();
    expect(counts.filter((count) => count > 0)).to.deep.equal([1, 2]);
    expect(gateway.ended, "what was refused never became an exchange").to.have.length(0);
  });
});
