/** Requests sent without waiting for answers are answered in their order (RFC 9112 section 9.3.2). */
import { expect } from "chai";
import { describeEngines } from "../support/engines.ts";
import { ok, requestBytes, until } from "../support/http.ts";

describeEngines("pipelining", (bench) => {
  it("answers in order", async () => {
    const origin = await bench.origin((request, connection) => connection.send(ok(request.target)));
    const client = await bench.client(await bench.gateway(origin));
    const targets = Array.from({ length: 100 }, (_, n) => `/${n}`);
    client.send(
      targets.map((target) => requestBytes(`GET ${target}`)).join(""),
      ...targets.map(() => "GET"),
    );
    for (const target of targets) {
      expect((await client.answer()).body.toString()).to.equal(target);
    }
    expect(origin.requests.map((request) => request.target)).to.deep.equal(targets);
  });

  it("answers in order though the first is slow", async () => {
    const origin = await bench.origin((request, connection) => {
      if (request.target !== "/slow") connection.send(ok(request.target));
    });
    const client = await bench.client(await bench.gateway(origin));
    client.send(
      requestBytes("GET /slow") + requestBytes("GET /fast") + requestBytes("HEAD /head"),
      "GET",
      "GET",
      "HEAD",
    );
    await until("the first arrived", () => origin.requests.length > 0);
    expect(client.receivedBytes).to.equal(0);
    origin.connections[0]?.send(ok("/slow"));
    expect((await client.answer()).body.toString()).to.equal("/slow");
    expect((await client.answer()).body.toString()).to.equal("/fast");
    expect((await client.answer()).body.toString()).to.equal("");
  });

  it("keeps requests with bodies apart", async () => {
    const origin = await bench.origin((request, connection) =>
      connection.send(ok(`${request.method} ${request.body}`)),
    );
    const client = await bench.client(await bench.gateway(origin));
    client.send(
      requestBytes("POST /", ["Content-Length: 4"], "GET ") +
        requestBytes("PUT /", ["Transfer-Encoding: chunked"], "3\r\nabc\r\n0\r\n\r\n") +
        requestBytes("GET /"),
      "POST",
      "PUT",
      "GET",
    );
    const bodies = [];
    for (let n = 0; n < 3; n += 1) bodies.push((await client.answer()).body.toString());
    expect(bodies).to.deep.equal(["POST GET ", "PUT abc", "GET "]);
  });

  it("reads nothing after a request that asks to close", async () => {
    const origin = await bench.origin(ok("only"));
    const client = await bench.client(await bench.gateway(origin));
    client.send(
      requestBytes("GET /1", ["Connection: close"]) + requestBytes("GET /2"),
      "GET",
      "GET",
    );
    expect((await client.answer()).body.toString()).to.equal("only");
    await client.whenClosed();
    expect(client.waiting).to.equal(0);
    expect(origin.request.target).to.equal("/1");
  });

  it("answers what came before a request that it refuses", async () => {
    const origin = await bench.origin((_, connection) => connection.send(ok("good")));
    const client = await bench.client(await bench.gateway(origin));
    client.send(`${requestBytes("GET /good")}GET /bad HTTP/1.1\r\n\r\n`, "GET", "GET");
    expect((await client.answer()).body.toString()).to.equal("good");
    expect((await client.answer()).status).to.equal(400);
    await client.whenClosed();
    expect(origin.request.target).to.equal("/good");
  });

  it("does not read without end from a client that only sends", async () => {
    const origin = await bench.origin(() => {});
    const gateway = await bench.gateway(origin, { limits: { responseTimeoutMs: 1_000 } });
    const client = await bench.client(gateway);
    const batch = requestBytes("GET /", [`X-Pad: ${"x".repeat(1000)}`]).repeat(1000);
    client.send(batch.repeat(20), "GET");
    await until("the first arrived", () => origin.requests.length > 0);
    await until(
      "the gateway stopped reading",
      () => client.socket.writableLength > 0 && client.socket.bytesWritten > 0,
    );
    expect(gateway.engine.stats().exchanges).to.be.lessThan(10);
  });

  it("takes a client that closes its side for one that left, and drops what it had sent ahead", async () => {
    const origin = await bench.origin(() => {});
    const gateway = await bench.gateway(origin);
    const client = await bench.client(gateway, { allowHalfOpen: true });
    client.send(requestBytes("GET /1") + requestBytes("GET /2"), "GET", "GET");
    await until("the first arrived", () => origin.requests.length === 1);
    client.end();
    await client.whenClosed();
    await (await origin.connection()).whenClosed();
    expect((await gateway.outcome()).errorCode).to.equal("client_closed");
    expect(origin.requests).to.have.length(1);
  });
});
