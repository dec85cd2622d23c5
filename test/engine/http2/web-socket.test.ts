/** WebSocket of clients that speak HTTP/2: extended CONNECT (RFC 8441), frame by frame. */
import { expect } from "chai";
import { createHttpEngine } from "../../../gateway/engine/index.ts";
import {
  answerBytes,
  type GatewayOptions,
  type Origin,
  type OriginConnection,
  ok,
  settled,
  type TestGateway,
  until,
  useTestBench,
} from "../../support/http.ts";
import { type Http2Connection, requestFields } from "../../support/http2/connection.ts";
import {
  dataFrame,
  errorCode,
  frame,
  frameFlag,
  frameType,
  ping,
  rstStream,
  setting,
  windowUpdate,
} from "../../support/http2/frames.ts";
import { type Field, headerBlock } from "../../support/http2/hpack.ts";
import { startHttp2Origin } from "../../support/http2/origin.ts";
import { acceptOf } from "../../support/http2/web-socket.ts";
import type { OriginScript } from "../../support/origin.ts";
import { refusingPeer } from "../../support/unreachable.ts";

/** What the kernel's buffers of two hops may take, and as much again. */
const bound = 40 * 1024 * 1024;

function connectFields(path: string, more: readonly Field[] = []): readonly Field[] {
  const usual: readonly Field[] = [
    [":protocol", "websocket"],
    ["sec-websocket-version", "13"],
  ];
  return requestFields(path, [...usual, ...more], "CONNECT");
}

/** The head of the handshake that came, once it is whole: its request line and its fields. */
async function handshakeOf(connection: OriginConnection): Promise<readonly string[]> {
  await until("the handshake arrived", () => connection.received.includes("\r\n\r\n"));
  return (connection.received.toString("latin1").split("\r\n\r\n")[0] ?? "").split("\r\n");
}

function fieldIn(lines: readonly string[], name: string): string | undefined {
  const values = lines
    .slice(1)
    .map((line) => line.split(": ", 2))
    .filter(([key]) => key?.toLowerCase() === name)
    .map(([, value]) => value);
  expect(values.length, name).to.be.at.most(1);
  return values[0];
}

async function agree(connection: OriginConnection, more: readonly string[] = []): Promise<void> {
  const key = fieldIn(await handshakeOf(connection), "sec-websocket-key") ?? "";
  connection.send(
    answerBytes("101 Switching Protocols", [
      ...["Connection: Upgrade", "Upgrade: websocket"],
      ...[`Sec-WebSocket-Accept: ${acceptOf(key)}`, ...more],
    ]),
  );
}

/** What came after the handshake. */
function tunnelBytes(connection: OriginConnection): string {
  return connection.received.toString("latin1").split("\r\n\r\n").slice(1).join("\r\n\r\n");
}

/** Sends whatever the windows have room for, up to twice the bound. */
function pump(client: Http2Connection, stream: number): { bytes: number } {
  const sent = { bytes: 0 };
  client.onFrame = () => {
    while (sent.bytes <= 2 * bound) {
      const length = client.room.take(stream, 16_384);
      if (length === 0) return;
      sent.bytes += length;
      client.send(dataFrame(stream, Buffer.alloc(length), false));
    }
  };
  client.send(ping());
  return sent;
}

describe("HTTP/2: WebSocket", () => {
  const bench = useTestBench(createHttpEngine);

  interface Scene {
    readonly origin: Origin;
    readonly gateway: TestGateway;
    readonly client: Http2Connection;
  }

  /** `halfOpen`: the origin does not close in return when the gateway closes its side. */
  async function open(
    options: GatewayOptions = {},
    { opensWindows = true, halfOpen = false } = {},
  ): Promise<Scene> {
    const origin = await bench.origin("", { bytesOnly: true, halfOpen });
    const gateway = await bench.gateway(origin, options);
    return { origin, gateway, client: await bench.http2(gateway, { opensWindows }) };
  }

  /** Opens a tunnel. */
  async function tunnel({ origin, client }: Scene, index = 0) {
    const stream = client.request(connectFields("/chat"), { isLast: false });
    const connection = await origin.connection(index);
    await agree(connection);
    const answer = client.answerOn(stream);
    await until("the tunnel is open", () => answer.status === 200);
    return { stream, connection, answer };
  }

  async function scripted(script: OriginScript, options: GatewayOptions = {}) {
    const origin = await bench.origin(script);
    const gateway = await bench.gateway(origin, options);
    const client = await bench.http2(gateway);
    const stream = client.request(connectFields("/chat"), { isLast: false });
    return { origin, gateway, client, stream, answer: await client.answer(stream) };
  }

  it("is announced in the settings", async () => {
    const { client } = await open();
    await until("settings came", () => client.framesOf(frameType.settings).length > 0);
    const { payload } = client.framesOf(frameType.settings)[0] ?? { payload: Buffer.alloc(0) };
    const values = new Map<number, number>();
    for (let at = 0; at < payload.length; at += 6)
      values.set(payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
    expect(values.get(setting.enableConnectProtocol)).to.equal(1);
  });

  it("is HTTP/1.1's handshake to the origin, whose 101 is a 200 without what is HTTP/1.1's", async () => {
    const { origin, client, gateway } = await open({}, { halfOpen: true });
    const fields = connectFields("/chat?room=1", [
      ["sec-websocket-protocol", "chat.v2"],
      ["sec-websocket-key", "of the client"],
      ["origin", "https://shop.example"],
      ["cookie", "a=1"],
    ]);
    const stream = client.request(fields, { isLast: false });
    const connection = await origin.connection();
    const lines = await handshakeOf(connection);
    expect(lines[0]).to.equal("GET /chat?room=1 HTTP/1.1");
    const names = ["host", "upgrade", "connection", "sec-websocket-version", "origin", "cookie"];
    expect(names.map((name) => fieldIn(lines, name))).to.deep.equal([
      ...["shop.example", "websocket", "Upgrade", "13", "https://shop.example", "a=1"],
    ]);
    expect(fieldIn(lines, "sec-websocket-protocol")).to.equal("chat.v2");
    expect(fieldIn(lines, "via")).to.equal("2 sluice");
    expect(fieldIn(lines, "x-forwarded-for")).to.equal("127.0.0.1");
    expect(fieldIn(lines, "sec-websocket-key")).to.match(/^[A-Za-z0-9+/]{22}==$/);
    expect(lines.join("\n")).to.not.match(/:protocol|transfer-encoding|content-length/i);
    await agree(connection, ["Sec-WebSocket-Protocol: chat.v2", "X-Token: abc"]);
    const answer = client.answerOn(stream);
    await until("the tunnel is open", () => answer.status === 200);
    expect(answer.ended).to.equal(false);
    expect(answer.field("sec-websocket-protocol")).to.equal("chat.v2");
    expect(answer.field("x-token")).to.equal("abc");
    expect(answer.field("date")).to.match(/GMT$/);
    const gone = ["sec-websocket-accept", "content-length"];
    expect(gone.map((name) => answer.field(name))).to.deep.equal([undefined, undefined]);
    client.send(dataFrame(stream, "question", true));
    await until("it came", () => tunnelBytes(connection) === "question");
    connection.end("answer");
    await client.answer(stream);
    expect(answer.body.toString()).to.equal("answer");
    const { method, status, errorCode: code } = await gateway.outcome();
    expect([method, status, code]).to.deep.equal(["GET", 101, ""]);
  });

  it("has another key each time", async () => {
    const scene = await open();
    const keys: unknown[] = [];
    for (let index = 0; index < 3; index += 1) {
      const { connection } = await tunnel(scene, index);
      keys.push(fieldIn(await handshakeOf(connection), "sec-websocket-key"));
    }
    expect(new Set(keys).size).to.equal(3);
  });

  it("goes through the handler's phases as a request of HTTP/1.1", async () => {
    const seen: unknown[] = [];
    const scene = await open({
      hooks: {
        onRequest: (exchange) => {
          seen.push([exchange.method, exchange.path, exchange.header("upgrade")]);
          exchange.setHeader("x-from", "handler");
          exchange.setHeader("sec-websocket-key", "of the handler");
        },
        onResponse: (exchange) => {
          seen.push(exchange.status);
          exchange.setResponseHeader("x-seen", "yes");
        },
      },
    });
    const { connection, answer } = await tunnel(scene);
    const lines = await handshakeOf(connection);
    expect(fieldIn(lines, "x-from")).to.equal("handler");
    expect(fieldIn(lines, "sec-websocket-key")).to.equal("of the handler");
    expect(answer.field("x-seen")).to.equal("yes");
    expect(seen).to.deep.equal([["GET", "/chat", "websocket"], 101]);
  });

  it("keeps the bytes that come before the origin agreed, however small, and the client's end", async () => {
    const { origin, client } = await open({}, { halfOpen: true });
    const stream = client.request(connectFields("/chat"), { isLast: false });
    const early = "first of the client";
    for (const letter of early) client.send(dataFrame(stream, letter, false));
    client.send(dataFrame(stream, "", true));
    const connection = await origin.connection();
    await handshakeOf(connection);
    await settled(() => connection.receivedBytes);
    expect(tunnelBytes(connection)).to.equal("");
    await agree(connection);
    await until("the early bytes came", () => tunnelBytes(connection) === early);
    await until("the end came", () => connection.socket.readableEnded);
    connection.end("bye");
    expect((await client.answer(stream)).body.toString()).to.equal("bye");
  });

  it("takes no more before the origin agreed than one window has room for", async () => {
    const { origin, client } = await open();
    const stream = client.request(connectFields("/chat"), { isLast: false });
    const window = client.room.of(stream);
    for (let left = window; left > 0; left -= 16_384)
      client.send(dataFrame(stream, Buffer.alloc(Math.min(left, 16_384), "x"), false));
    const connection = await origin.connection();
    await handshakeOf(connection);
    await settled(() => client.frames.length);
    const updates = () =>
      client.framesOf(frameType.windowUpdate).filter((one) => one.stream === stream).length;
    expect(updates()).to.equal(0);
    await agree(connection);
    await until("all came", () => tunnelBytes(connection).length === window);
    await until("there is room for more", () => updates() > 0);
  });

  it("passes on any other answer, and whether it is none", async () => {
    const refused = await scripted(answerBytes("403 Forbidden", ["Content-Length: 2"], "no"));
    expect([refused.answer.status, refused.answer.body.toString()]).to.deep.equal([403, "no"]);
    const moved = await scripted(answerBytes("302 Found", ["Location: /", "Content-Length: 0"]));
    expect([moved.answer.status, moved.answer.field("location")]).to.deep.equal([302, "/"]);
    const again = await moved.client.answer(moved.client.request(requestFields("/")));
    expect(again.status).to.equal(302);
  });

  for (const [what, script] of [
    ["small", ok("plain")],
    ["empty", answerBytes("204 No Content", [])],
    ["large", answerBytes("200 OK", ["Content-Length: 100000"], "x".repeat(100_000))],
  ] as const) {
    it(`answers 502 when the origin ignores the handshake and answers (${what})`, async () => {
      const seen: unknown[] = [];
      const { answer, gateway } = await scripted(script, {
        hooks: { onTryEnd: (_exchange, _target, status, failure) => seen.push([status, failure]) },
      });
      expect(answer.status).to.equal(502);
      expect(answer.body.toString()).to.contain("no_upgrade");
      const { status, errorCode: code } = await gateway.outcome();
      expect([status, code]).to.deep.equal([502, "no_upgrade"]);
      // Whoever asks a plain site for a WebSocket must not make its servers look ill.
      expect(seen).to.deep.equal([[what === "empty" ? 204 : 200, null]]);
    });
  }

  it("answers 502 for a 2xx of the handler's, which the client would take for a tunnel", async () => {
    for (const hooks of [
      { onRequest: (exchange) => exchange.answer({ status: 200, body: "plain" }) },
      { onResponse: (exchange) => exchange.replaceAnswer({ status: 200, body: "plain" }) },
    ] satisfies GatewayOptions["hooks"][]) {
      const { answer, gateway } = await scripted(answerBytes("404 Not Found", []), { hooks });
      expect([answer.status, (await gateway.outcome()).errorCode]).to.deep.equal([
        ...[502, "no_upgrade"],
      ]);
    }
  });

  it("is refused to a call of gRPC's as to others, not with a 200", async () => {
    const gateway = await bench.gateway([]);
    const client = await bench.http2(gateway);
    const fields = connectFields("/chat", [
      ["content-type", "application/grpc"],
      ["te", "trailers"],
      ["grpc-timeout", "nonsense"],
    ]);
    const answer = await client.answer(client.request(fields, { isLast: false }));
    expect(answer.status).to.equal(503);
  });

  it("is a bad answer when the origin's does not belong to the key", async () => {
    for (const accept of [[], [`Sec-WebSocket-Accept: ${acceptOf("another")}`]]) {
      const { answer, gateway } = await scripted((_, connection) =>
        connection.send(
          answerBytes("101 Switching Protocols", [
            ...["Connection: Upgrade", "Upgrade: websocket", ...accept],
          ]),
        ),
      );
      expect(answer.status).to.equal(502);
      expect((await gateway.outcome()).errorCode).to.equal("bad_response");
    }
  });

  it("goes to another peer when one accepts no connection", async () => {
    const origin = await bench.origin("", { bytesOnly: true });
    const gateway = await bench.gateway(origin, { peers: [refusingPeer(), origin.peer] });
    const client = await bench.http2(gateway);
    const { connection } = await tunnel({ origin, gateway, client });
    connection.end();
    client.close();
    expect((await gateway.outcome()).tries).to.equal(2);
  });

  it("is not asked of a peer with HTTP/2, whose answer then is no tunnel", async () => {
    const asked: unknown[] = [];
    const peer = await startHttp2Origin((stream, fields) => {
      asked.push([fields[":method"], fields[":protocol"]]);
      stream.respond({ ":status": 200 });
      stream.end("plain");
    });
    const gateway = await bench.gateway([], { hooks: { onPick: () => peer.target } });
    bench.later(() => gateway.engine.retire(peer.target.peer));
    bench.later(() => peer.close());
    const client = await bench.http2(gateway);
    const answer = await client.answer(client.request(connectFields("/"), { isLast: false }));
    expect(answer.status).to.equal(502);
    expect(answer.body.toString()).to.contain("no_upgrade");
    expect(asked).to.deep.equal([["GET", undefined]]);
  });

  it("carries many tunnels beside requests on one connection", async () => {
    const scene = await open();
    const tunnels = [];
    for (let index = 0; index < 20; index += 1) tunnels.push(await tunnel(scene, index));
    for (const [index, { stream }] of tunnels.entries())
      scene.client.send(dataFrame(stream, `of ${index}`, false));
    for (const [index, { connection, answer }] of tunnels.entries()) {
      await until("it came", () => tunnelBytes(connection) === `of ${index}`);
      connection.send(`to ${index}`);
      await until("the answer came", () => answer.body.toString() === `to ${index}`);
    }
  });

  describe("in a request that breaks a rule", () => {
    const protocol: Field = [":protocol", "websocket"];
    const method: Field = [":method", "CONNECT"];
    const scheme: Field = [":scheme", "http"];
    const authority: Field = [":authority", "shop.example"];
    const path: Field = [":path", "/chat"];
    const malformed: readonly (readonly [what: string, ...Field[]])[] = [
      [":protocol without CONNECT", [":method", "GET"], scheme, authority, path, protocol],
      ["two of :protocol", method, scheme, authority, path, protocol, protocol],
      ["an empty :protocol", method, scheme, authority, path, [":protocol", ""]],
      ["no :scheme", method, authority, path, protocol],
      ["no :path", method, scheme, authority, protocol],
      ["no slash in :path", method, scheme, authority, [":path", "chat"], protocol],
      ["Upgrade", method, scheme, authority, path, protocol, ["upgrade", "websocket"]],
      ["a :protocol behind fields", method, scheme, authority, path, ["a", "b"], protocol],
    ];
    for (const [what, ...fields] of malformed) {
      it(`resets the stream: ${what}`, async () => {
        const origin = await bench.origin(ok());
        const client = await bench.http2(await bench.gateway(origin));
        const answer = await client.answer(client.request(fields, { isLast: false }));
        expect(answer.resetCode).to.equal(errorCode.protocolError);
        expect((await client.answer(client.request(requestFields("/")))).status).to.equal(200);
        expect(origin.requests).to.have.length(1);
      });
    }

    const refused: readonly (readonly [status: number, code: string, fields: readonly Field[]])[] =
      [
        [501, "unknown_protocol", [method, scheme, authority, path, [":protocol", "connect-udp"]]],
        [400, "bad_length", [method, scheme, authority, path, protocol, ["content-length", "0"]]],
        [400, "bad_target", [method, scheme, authority, [":path", "*"], protocol]],
        [400, "bad_scheme", [method, [":scheme", "ftp"], authority, path, protocol]],
        [400, "no_host", [method, scheme, path, protocol]],
        [405, "no_connect", [method, authority]],
      ];
    for (const [status, code, fields] of refused) {
      it(`answers ${status}: ${code}`, async () => {
        const gateway = await bench.gateway(await bench.origin(ok()));
        const client = await bench.http2(gateway);
        const answer = await client.answer(client.request(fields, { isLast: false }));
        expect(answer.status).to.equal(status);
        expect(answer.body.toString()).to.contain(code);
        expect(gateway.engine.stats().refused[code]).to.equal(1);
      });
    }
  });

  describe("that ends", () => {
    it("on the client's side goes on from the origin's", async () => {
      const scene = await open({}, { halfOpen: true });
      const { stream, connection, answer } = await tunnel(scene);
      scene.client.send(dataFrame(stream, "last", true));
      await until("the end came", () => connection.socket.readableEnded);
      expect(tunnelBytes(connection)).to.equal("last");
      connection.send("more");
      await until("more came", () => answer.body.toString() === "more");
      connection.end();
      await scene.client.answer(stream);
      expect(answer.resetCode).to.equal(null);
      expect((await scene.gateway.outcome()).errorCode).to.equal("");
    });

    it("on the origin's side ends, behind what came before", async () => {
      const scene = await open();
      const { stream, connection, answer } = await tunnel(scene);
      connection.end("last");
      await until("the end came", () => answer.ended);
      expect(answer.body.toString()).to.equal("last");
      await until("no more is read", () => answer.resetCode === errorCode.noError);
      scene.client.send(dataFrame(stream, "late", false));
      expect((await scene.gateway.outcome()).errorCode).to.equal("");
      const next = await scene.client.answer(scene.client.request(connectFields("*")));
      expect(next.status).to.equal(400);
    });

    it("with the origin's reset is reset, behind what came before", async () => {
      const scene = await open();
      const { stream, connection, answer } = await tunnel(scene);
      connection.send("last words");
      await until("they came", () => answer.body.toString() === "last words");
      connection.reset();
      await scene.client.answer(stream);
      expect([answer.ended, answer.resetCode]).to.deep.equal([false, errorCode.cancel]);
      expect((await scene.gateway.outcome()).status).to.equal(101);
    });

    it("with the client's reset ends the origin's side", async () => {
      const scene = await open();
      const { stream, connection } = await tunnel(scene);
      scene.client.send(rstStream(stream, errorCode.cancel));
      await connection.whenClosed();
      expect((await scene.gateway.outcome()).errorCode).to.equal("client_closed");
      expect(scene.client.goaway).to.equal(null);
    });

    it("with the client's reset ends although an origin that has ended reads nothing", async () => {
      const scene = await open();
      const { client, gateway } = scene;
      const { stream, connection, answer } = await tunnel(scene);
      connection.socket.pause();
      const pumped = pump(client, stream);
      expect(await settled(() => pumped.bytes)).to.be.lessThan(bound);
      connection.end();
      await until("the end came", () => answer.ended);
      expect(gateway.ended).to.have.length(0);
      client.send(rstStream(stream, errorCode.cancel));
      expect((await gateway.outcome()).errorCode).to.equal("client_closed");
    });

    it("with the client's connection ends the origin's sides", async () => {
      const scene = await open();
      const tunnels = [await tunnel(scene, 0), await tunnel(scene, 1)];
      scene.client.reset();
      for (const { connection } of tunnels) await connection.whenClosed();
    });

    it("with anything but content from the client is reset", async () => {
      const scene = await open();
      const { stream, connection } = await tunnel(scene);
      const flags = frameFlag.endHeaders | frameFlag.endStream;
      scene.client.send(frame(frameType.headers, flags, stream, headerBlock([["x-a", "b"]])));
      const answer = await scene.client.answer(stream);
      expect(answer.resetCode).to.equal(errorCode.protocolError);
      await connection.whenClosed();
    });

    it("when nothing came either way for its time is reset", async () => {
      const scene = await open({ limits: { tunnelTimeoutMs: 100 } });
      const { stream, connection } = await tunnel(scene);
      const answer = await scene.client.answer(stream);
      expect(answer.resetCode).to.equal(errorCode.cancel);
      await connection.whenClosed();
      expect((await scene.gateway.outcome()).status).to.equal(101);
    });

    it("while the gateway drains is not cut", async () => {
      const scene = await open();
      const { client, gateway } = scene;
      const { stream, connection, answer } = await tunnel(scene);
      const drained = gateway.engine.drain(30_000);
      await until("the client was told", () => client.goaway !== null);
      connection.send("still here");
      await until("it came", () => answer.body.toString() === "still here");
      client.send(dataFrame(stream, "", true));
      connection.end();
      expect(await drained).to.equal(0);
      await client.whenClosed();
    });

    it("at the drain's deadline when it did not end before", async () => {
      const scene = await open();
      const tunnels = [await tunnel(scene, 0), await tunnel(scene, 1)];
      expect(await scene.gateway.engine.drain(200)).to.equal(2);
      await scene.client.whenClosed();
      for (const { connection } of tunnels) await connection.whenClosed();
    });
  });

  describe("under load", () => {
    it("opens and closes a thousand tunnels on one connection, each in its own way", async () => {
      const scene = await open();
      const { client, gateway } = scene;
      for (let index = 0; index < 1_000; index += 1) {
        const { stream, connection } = await tunnel(scene, index);
        client.send(dataFrame(stream, "hello", index % 4 === 1));
        if (index % 4 === 0) client.send(rstStream(stream, errorCode.cancel));
        else if (index % 4 === 2) connection.reset();
        else connection.end("bye");
        if (index % 4 === 3) client.send(dataFrame(stream, "", true));
        else if (index % 4 !== 0) await client.answer(stream);
      }
      await until("all are over", () => gateway.ended.length === 1_000);
      expect(client.goaway).to.equal(null);
      expect(gateway.engine.stats().exchanges).to.equal(0);
      const again = await tunnel(scene, 1_000);
      expect(again.answer.status).to.equal(200);
    }).timeout(240_000);

    it("stops an origin whose client does not read, and no other tunnel", async () => {
      const scene = await open({}, { opensWindows: false });
      const { client } = scene;
      client.send(windowUpdate(0, 16 * 1024 * 1024));
      const { connection, answer } = await tunnel(scene, 0);
      const other = await tunnel(scene, 1);
      const piece = Buffer.alloc(65_536, "x");
      let sent = 0;
      const pump = () => {
        while (sent < 2 * bound && !connection.closed) {
          sent += piece.length;
          if (connection.socket.write(piece)) continue;
          connection.socket.once("drain", pump);
          return;
        }
      };
      pump();
      expect(await settled(() => sent)).to.be.lessThan(bound);
      expect(answer.body.length).to.equal(65_535);
      other.connection.send("well");
      await until("the other goes on", () => other.answer.body.toString() === "well");
    });

    it("ends a tunnel in the end whose client takes nothing", async () => {
      const scene = await open({ limits: { bodyTimeoutMs: 200 } }, { opensWindows: false });
      const { connection, stream } = await tunnel(scene);
      connection.send(Buffer.alloc(1024 * 1024));
      const answer = await scene.client.answer(stream);
      expect(answer.resetCode).to.equal(errorCode.cancel);
      await connection.whenClosed();
    });

    it("stops a client whose origin does not read", async () => {
      const scene = await open();
      const { client } = scene;
      const { stream, connection } = await tunnel(scene);
      connection.socket.pause();
      const pumped = pump(client, stream);
      expect(await settled(() => pumped.bytes)).to.be.lessThan(bound);
      connection.socket.resume();
      await until("it goes on", () => pumped.bytes > 2 * bound);
      client.send(rstStream(stream, errorCode.cancel));
    });
  });
});
