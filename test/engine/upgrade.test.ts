/** An upgrade turns the connection into a pipe of bytes (RFC 9110 section 7.8). */
import { expect } from "chai";
import { describeEngines } from "../support/engines.ts";
import { answerBytes, fieldOf, ok, requestBytes, until } from "../support/http.ts";

const HANDSHAKE = ["Connection: Upgrade", "Upgrade: raw"];
const SWITCHED = answerBytes("101 Switching Protocols", HANDSHAKE);

describeEngines("upgrades", (bench) => {
  it("forwards the handshake and answers with the origin's 101 and its headers", async () => {
    const origin = await bench.origin(
      answerBytes("101 Switching Protocols", [...HANDSHAKE, "X-Token: abc"]),
    );
    const client = await bench.client(await bench.gateway(origin));
    const answer = await client.request(requestBytes("GET /chat", HANDSHAKE));
    expect(answer.status).to.equal(101);
    expect(fieldOf(answer, "Upgrade")).to.equal("raw");
    expect(fieldOf(answer, "Connection")?.toLowerCase()).to.equal("upgrade");
    expect(fieldOf(answer, "X-Token")).to.equal("abc");
    expect(fieldOf(origin.request, "Upgrade")).to.equal("raw");
    expect(fieldOf(origin.request, "Connection")?.toLowerCase()).to.equal("upgrade");
  });

  it("keeps the bytes that come with the handshake, on both sides", async () => {
    const origin = await bench.origin("", { bytesOnly: true });
    const client = await bench.client(await bench.gateway(origin));
    client.send(`${requestBytes("GET /", HANDSHAKE)}first of the client`, "GET");
    const connection = await origin.connection();
    await until("the handshake arrived", () => connection.received.includes("\r\n\r\n"));
    connection.send(`${SWITCHED}first of the origin`);
    expect((await client.answer()).status).to.equal(101);
    await until("the origin's came", () => client.tunnelBytes.toString() === "first of the origin");
    await until("the client's came", () =>
      connection.received.toString().endsWith("\r\n\r\nfirst of the client"),
    );
    client.send(" more");
    connection.send(" more");
    await until("more came", () => client.tunnelBytes.toString() === "first of the origin more");
    await until("more came", () => connection.received.toString().endsWith("client more"));
  });

  it("sends the origin nothing but the handshake until it agreed", async () => {
    const origin = await bench.origin("", { bytesOnly: true });
    const client = await bench.client(await bench.gateway(origin));
    const stolen = requestBytes("GET /stolen");
    client.send(requestBytes("GET /", HANDSHAKE) + stolen, "GET", "GET");
    const connection = await origin.connection();
    await until("the handshake arrived", () => connection.received.includes("\r\n\r\n"));
    expect(connection.received.toString()).to.not.include("stolen");
  });

  it("goes on as HTTP when the origin refuses, on the same connections", async () => {
    const origin = await bench.origin((request, connection) =>
      connection.send(
        request.target === "/chat"
          ? answerBytes("403 Forbidden", ["Content-Length: 2"], "no")
          : ok("plain"),
      ),
    );
    const client = await bench.client(await bench.gateway(origin));
    const refused = await client.request(requestBytes("GET /chat", HANDSHAKE));
    expect(refused.status).to.equal(403);
    expect(refused.body.toString()).to.equal("no");
    const plain = await client.request(requestBytes("GET /"));
    expect(plain.body.toString()).to.equal("plain");
    expect(origin.connections).to.have.length(1);
  });

  it("takes an origin that answers 200 to a handshake for one that ignores it", async () => {
    const origin = await bench.origin(ok("plain"));
    const client = await bench.client(await bench.gateway(origin));
    const answer = await client.request(requestBytes("GET /", HANDSHAKE));
    expect(answer.status).to.equal(200);
    expect((await client.request(requestBytes("GET /"))).status).to.equal(200);
  });

  it("is not passed on without `Connection: Upgrade`, to h2c, or from HTTP/1.0", async () => {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin);
    for (const bytes of [
      requestBytes("GET /", ["Upgrade: raw"]),
      requestBytes("GET /", [
        "Upgrade: h2c",
        "Connection: Upgrade, HTTP2-Settings",
        "HTTP2-Settings: AA",
      ]),
      `GET / HTTP/1.0\r\nHost: a\r\n${HANDSHAKE.join("\r\n")}\r\n\r\n`,
    ]) {
      const client = await bench.client(gateway);
      expect((await client.request(bytes)).status).to.equal(200);
    }
    for (const request of origin.requests) {
      expect(fieldOf(request, "Upgrade")).to.equal(undefined);
      expect(fieldOf(request, "HTTP2-Settings")).to.equal(undefined);
    }
  });

  it("passes on the end of one side while the other still sends, or ends both", async () => {
    const origin = await bench.origin("", { bytesOnly: true, halfOpen: true });
    const gateway = await bench.gateway(origin);
    const client = await bench.client(gateway, { allowHalfOpen: true });
    client.send(requestBytes("GET /", HANDSHAKE), "GET");
    const connection = await origin.connection();
    await until("the handshake arrived", () => connection.received.includes("\r\n\r\n"));
    connection.send(SWITCHED);
    await client.answer();
    client.send("question");
    client.end();
    await until("it came", () => connection.received.toString().endsWith("question"));
    connection.end("answer");
    await client.whenClosed();
    expect(["answer", ""]).to.include(client.tunnelBytes.toString());
    expect((await gateway.outcome()).status).to.equal(101);
  });

  it("ends when no byte came either way for its time", async () => {
    const origin = await bench.origin(SWITCHED);
    const gateway = await bench.gateway(origin, { limits: { tunnelTimeoutMs: 100 } });
    const client = await bench.client(gateway);
    expect((await client.request(requestBytes("GET /", HANDSHAKE))).status).to.equal(101);
    await client.whenClosed();
    await (await origin.connection()).whenClosed();
    expect((await gateway.outcome()).status).to.equal(101);
  });

  it("is no call of gRPC, whose deadline would be answered into the other protocol", async () => {
    const origin = await bench.origin(SWITCHED);
    const gateway = await bench.gateway(origin, { limits: { tunnelTimeoutMs: 400 } });
    const client = await bench.client(gateway);
    const call = ["Content-Type: application/grpc", "TE: trailers", "grpc-timeout: 1m"];
    const options = ["Connection: Upgrade, TE", "Upgrade: raw"];
    expect((await client.request(requestBytes("GET /", [...options, ...call]))).status).to.equal(
      101,
    );
    await client.whenClosed();
    expect(client.tunnelBytes.toString()).to.equal("");
    expect((await gateway.outcome()).errorCode).to.equal("client_closed");
  });

  for (const side of ["origin", "client"] as const) {
    it(`goes on for as long as bytes come from the ${side}`, async () => {
      const tunnelTimeoutMs = 300;
      const origin = await bench.origin("", { bytesOnly: true });
      const gateway = await bench.gateway(origin, { limits: { tunnelTimeoutMs } });
      const client = await bench.client(gateway);
      client.send(requestBytes("GET /", HANDSHAKE), "GET");
      const connection = await origin.connection();
      await until("the handshake arrived", () => connection.received.includes("\r\n\r\n"));
      connection.send(SWITCHED);
      await client.answer();
      const sender = side === "origin" ? connection : client;
      const end = gateway.clock.now() + 3 * tunnelTimeoutMs;
      const dripping = setInterval(() => sender.send("."), 10);
      try {
        await until(
          "it lasted three times as long as it may be silent, or was closed",
          () => client.ended || gateway.clock.now() > end,
        );
      } finally {
        clearInterval(dripping);
      }
      expect(client.ended).to.equal(false);
    });
  }

  it("stops an origin that sends into a tunnel which its client does not read", async () => {
    const origin = await bench.origin("", { bytesOnly: true });
    const gateway = await bench.gateway(origin);
    const client = await bench.client(gateway);
    client.send(requestBytes("GET /", HANDSHAKE), "GET");
    const connection = await origin.connection();
    await until("the handshake arrived", () => connection.received.includes("\r\n\r\n"));
    connection.send(SWITCHED);
    await client.answer();
    client.socket.pause();
    const total = 64 * 1024 * 1024;
    connection.send(Buffer.alloc(total));
    await until("the pipe filled", () => connection.socket.bytesWritten > 65_536);
    client.socket.resume();
    await until("all came", () => client.receivedBytes >= total);
  });
});
