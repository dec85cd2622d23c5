/** WebSocket through the gateway, with a real client and a real server on either side. */
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { connect } from "node:http2";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { WebSocket, WebSocketServer } from "ws";
import { Peer } from "../../gateway/engine/engine.ts";
import { createHttpEngine } from "../../gateway/engine/index.ts";
import { TlsEndpoint } from "../../gateway/engine/listening/tls-endpoint.ts";
import { TestAuthority } from "../support/certificates.ts";
import { describeEngines } from "../support/engines.ts";
import {
  type GatewayOptions,
  requestBytes,
  type TestBench,
  type TestGateway,
  until,
  useTestBench,
} from "../support/http.ts";
import { openWebSocketOn } from "../support/http2/web-socket.ts";

/** Begins to open a WebSocket. */
type Ask = (
  bench: TestBench,
  gateway: TestGateway,
  protocols: readonly string[],
) => WebSocket | Promise<WebSocket>;

const askHttp1: Ask = (_bench, gateway, protocols) =>
  new WebSocket(`ws://127.0.0.1:${gateway.port}/chat`, [...protocols]);

const askHttp2: Ask = (bench, gateway, protocols) => {
  const session = connect(`http://127.0.0.1:${gateway.port}`);
  session.on("error", () => {});
  bench.later(() => session.destroy());
  return openWebSocketOn(session, `127.0.0.1:${gateway.port}`, "/chat", protocols);
};

describeEngines("WebSocket", (bench) => describeMessages(bench, askHttp1));

describe("engine http1, clients with HTTP/2: WebSocket", () => {
  describeMessages(useTestBench(createHttpEngine), askHttp2);
});

describe("WebSocket over TLS and HTTP/2", () => {
  const bench = useTestBench(createHttpEngine);

  it("shares one connection with requests and other WebSockets", async () => {
    const authority = new TestAuthority();
    const { cert, key } = authority.issue({ names: ["a.example"] });
    const endpoint = new TlsEndpoint({
      pairs: [{ chain: cert, key }],
      profile: "intermediate",
      protocols: ["h2", "http/1.1"],
      tickets: () => [],
      clients: null,
      now: Date.now,
      identity: "a.example",
    });
    const choose = () => ({ endpoint, clientRule: "", covers: () => true });
    const schemes: string[] = [];
    const { gateway } = await webSockets(
      bench,
      (socket) => socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary })),
      {
        listeners: [{ tls: { choose } }],
        hooks: { onRequest: ({ scheme }) => void schemes.push(scheme) },
      },
    );
    const options = { ca: authority.cert, servername: "a.example" };
    const session = connect(`https://127.0.0.1:${gateway.port}`, options);
    session.on("error", () => {});
    bench.later(() => session.destroy());
    const sent = [0, 1, 2].map((n) => randomBytes(100_000 + n));
    const received = await Promise.all(
      sent.map(async (message) => {
        const socket = await openWebSocketOn(session, "a.example", "/chat");
        const { promise, resolve } = Promise.withResolvers<Buffer>();
        socket.once("message", (data) => resolve(data as Buffer));
        socket.once("open", () => socket.send(message));
        return await promise;
      }),
    );
    expect(received.map((message, n) => message.equals(sent[n] as Buffer))).to.deep.equal([
      ...[true, true, true],
    ]);
    expect(schemes).to.deep.equal(["https", "https", "https"]);
    expect(gateway.engine.stats().clientConnections).to.equal(1);
  });
});

function describeMessages(bench: TestBench, ask: Ask): void {
  const openWebSocket = (gateway: TestGateway, protocols: readonly string[] = []) =>
    opened(bench, ask(bench, gateway, protocols));

  it("carries messages of all sizes both ways, unchanged and in order", async () => {
    const { gateway } = await webSockets(bench, (socket) =>
      socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary })),
    );
    const socket = await openWebSocket(gateway);
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
    const socket = await openWebSocket(gateway);
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
    const socket = await ask(bench, gateway, []);
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
    const first = await openWebSocket(gateway);
    first.on("close", (code) => codes.push(code));
    await until("the origin has it", () => originSide.length === 1);
    originSide[0]?.terminate();
    await until("both saw the end", () => codes.length === 2);
    const second = await openWebSocket(gateway);
    await until("the origin has it", () => originSide.length === 2);
    second.terminate();
    await until("the origin saw the end", () => codes.length === 3);
    expect(codes).to.deep.equal([1006, 1006, 1006]);
  });

  it("agrees on subprotocols through the handshake's headers", async () => {
    const { gateway } = await webSockets(bench, () => {});
    const socket = await openWebSocket(gateway, ["chat.v2", "chat.v1"]);
    expect(socket.protocol).to.equal("chat.v2");
  });

  it("carries many sockets at once beside plain requests", async () => {
    const { gateway } = await webSockets(bench, (socket) =>
      socket.on("message", (data) => socket.send(`echo ${data}`)),
    );
    const sockets = await Promise.all(Array.from({ length: 20 }, () => openWebSocket(gateway)));
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
}

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

async function opened(bench: TestBench, asked: WebSocket | Promise<WebSocket>): Promise<WebSocket> {
  const socket = await asked;
  bench.later(() => socket.terminate());
  await new Promise((resolve, reject) => {
    socket.once("open", resolve);
    socket.once("error", reject);
  });
  return socket;
}
