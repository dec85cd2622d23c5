/** An upgrade turns the connection into a pipe of bytes (RFC 9110 section 7.8), as WebSocket needs. */
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { WebSocket, WebSocketServer } from "ws";
import { Peer } from "../../gateway/engine/engine.ts";
import {
  answerBytes,
  fieldOf,
  type GatewayOptions,
  ok,
  requestBytes,
  type TestBench,
  type TestGateway,
  until,
  useTestBench,
} from "../support/http.ts";

const HANDSHAKE = ["Connection: Upgrade", "Upgrade: raw"];
const SWITCHED = answerBytes("101 Switching Protocols", HANDSHAKE);

describe("engine: upgrades", () => {
  const bench = useTestBench();

  describe("to WebSocket", () => {
    it("carries messages of all sizes both ways, unchanged and in order", async () => {
      const { gateway } = await webSockets(bench, (socket) =>
        socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary })),
      );
      const socket = await openWebSocket(bench, gateway);
      const sent = [0, 1, 125, 126, 65_535, 65_536, 1_000_000].map((size) => randomBytes(size));
      const received: Buffer[] = [];
      socket.on("message", (data) => received.push(data as Buffer));
      for (const message of sent) socket.send(message);
      await until("every message came back", () => received.length === sent.length);
      expect(Buffer.concat(received).equals(Buffer.concat(sent))).to.equal(true);
      expect(received.map((message) => message.length)).to.deep.equal(
        sent.map((message) => message.length),
      );
    });

    it("passes on the client's close code and reason", async () => {
      const seen: [number, string][] = [];
      const { gateway } = await webSockets(bench, (socket) =>
        socket.on("close", (code, reason) => seen.push([code, reason.toString()])),
      );
      const socket = await openWebSocket(bench, gateway);
      socket.close(4001, "from the client");
      await until("the origin saw the close", () => seen.length === 1);
      expect(seen).to.deep.equal([[4001, "from the client"]]);
    });

    it("passes on the origin's close code and reason, and what it sent before", async () => {
      const { gateway } = await webSockets(bench, (socket) => {
        socket.send("last words");
        socket.close(4002, "from the origin");
      });
      const closed: [number, string][] = [];
      const messages: string[] = [];
      const socket = new WebSocket(`ws://127.0.0.1:${gateway.port}/`);
      socket.on("message", (data) => messages.push(String(data)));
      socket.on("close", (code, reason) => closed.push([code, reason.toString()]));
      await until("the client saw the close", () => closed.length === 1);
      expect(closed).to.deep.equal([[4002, "from the origin"]]);
      expect(messages).to.deep.equal(["last words"]);
    });

    it("ends the client's side when the origin's is cut, and the other way round", async () => {
      const originSide: WebSocket[] = [];
      const codes: number[] = [];
      const { gateway } = await webSockets(bench, (socket) => {
        originSide.push(socket);
        socket.on("close", (code) => codes.push(code));
      });
      const first = await openWebSocket(bench, gateway);
      first.on("close", (code) => codes.push(code));
      await until("the origin has it", () => originSide.length === 1);
      originSide[0]?.terminate();
      await until("both saw the end", () => codes.length === 2);
      const second = await openWebSocket(bench, gateway);
      await until("the origin has it", () => originSide.length === 2);
      second.terminate();
      await until("the origin saw the end", () => codes.length === 3);
      expect(codes).to.deep.equal([1006, 1006, 1006]);
    });

    it("agrees on subprotocols through the handshake's headers", async () => {
      const { gateway } = await webSockets(bench, () => {});
      const socket = await openWebSocket(bench, gateway, ["chat.v2", "chat.v1"]);
      expect(socket.protocol).to.equal("chat.v2");
    });

    it("carries many sockets at once beside plain requests", async () => {
      const { gateway } = await webSockets(bench, (socket) =>
        socket.on("message", (data) => socket.send(`echo ${data}`)),
      );
      const sockets = await Promise.all(
        Array.from({ length: 20 }, () => openWebSocket(bench, gateway)),
      );
      const replies = sockets.map(
        (socket, n) =>
          new Promise<string>((resolve) => {
            socket.once("message", (data) => resolve(String(data)));
            socket.send(String(n));
          }),
      );
      const client = await bench.client(gateway);
      expect((await client.request(requestBytes("GET /plain"))).body.toString()).to.equal("plain");
      expect(await Promise.all(replies)).to.deep.equal(sockets.map((_, n) => `echo ${n}`));
    });
  });

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
    await until("all came", () => client.receivedBytes >= total, { deadlineMs: 15_000 });
  });
});

/** A `ws` server behind a gateway; plain requests are answered with `plain`. */
async function webSockets(
  bench: TestBench,
  onSocket: (socket: WebSocket) => void,
  options: GatewayOptions = {},
): Promise<{ readonly gateway: TestGateway }> {
  const http = createServer((_, response) => response.end("plain"));
  const server = new WebSocketServer({ server: http });
  server.on("connection", (socket) => {
    socket.on("error", () => {});
    onSocket(socket);
  });
  await new Promise<void>((resolve) => http.listen({ host: "127.0.0.1", port: 0 }, resolve));
  const peer = new Peer("127.0.0.1", (http.address() as AddressInfo).port);
  const gateway = await bench.gateway([], { peers: [peer], ...options });
  bench.later(async () => {
    gateway.engine.retire(peer);
    for (const socket of server.clients) socket.terminate();
    server.close();
    http.closeAllConnections();
    await new Promise((resolve) => http.close(resolve));
  });
  return { gateway };
}

async function openWebSocket(
  bench: TestBench,
  gateway: TestGateway,
  protocols: string[] = [],
): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${gateway.port}/chat`, protocols);
  bench.later(() => socket.terminate());
  await new Promise((resolve, reject) => {
    socket.once("open", resolve);
    socket.once("error", reject);
  });
  return socket;
}
