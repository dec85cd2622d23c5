/** What the streams of one HTTP/2 connection mean to each other, and how the connection begins and ends. */
import { expect } from "chai";
import { Target } from "../../../gateway/engine/engine.ts";
import { createHttpEngine } from "../../../gateway/engine/index.ts";
import {
  answerBytes,
  expectIdle,
  fieldOf,
  type OriginConnection,
  ok,
  requestBytes,
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
  goaway,
  ping,
  preface,
  rstStream,
  setting,
  settingsFrame,
  windowUpdate,
} from "../../support/http2/frames.ts";
import { headerBlock } from "../../support/http2/hpack.ts";

const megabyte = 1024 * 1024;
/** What the kernel's buffers of two hops may take, and as much again. */
const bound = 40 * megabyte;

describe("HTTP/2: how a connection begins", () => {
  const bench = useTestBench(createHttpEngine);
  const opening = Buffer.concat([
    preface,
    settingsFrame(),
    frame(
      frameType.headers,
      frameFlag.endHeaders | frameFlag.endStream,
      1,
      headerBlock(requestFields("/")),
    ),
  ]);

  it("is read wherever the preface is cut", async () => {
    const gateway = await bench.gateway(await bench.origin(ok()));
    for (let at = 1; at <= preface.length + 5; at += 1) {
      const client = await bench.http2(gateway, { settings: null });
      client.expect(1);
      client.socket.write(opening.subarray(0, at));
      await new Promise((resolve) => setImmediate(resolve));
      client.socket.write(opening.subarray(at));
      expect((await client.answer(1)).status, `cut at ${at}`).to.equal(200);
      client.close();
    }
  });

  it("is read byte by byte", async () => {
    const gateway = await bench.gateway(await bench.origin(ok()));
    const client = await bench.http2(gateway, { settings: null });
    client.expect(1);
    for (const byte of opening) {
      client.socket.write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await client.answer(1)).status).to.equal(200);
  });

  it("is refused with 505 where HTTP/2 is not spoken, and behind a request of HTTP/1.1", async () => {
    const origin = await bench.origin(ok());
    const without = await bench.gateway(origin, { limits: { http2: false } });
    const client = await bench.client(without);
    client.send(opening, "GET");
    expect((await client.answer()).status).to.equal(505);
    const second = await bench.client(await bench.gateway(origin));
    expect((await second.request(requestBytes("GET /"))).status).to.equal(200);
    second.send(opening, "GET");
    expect((await second.answer()).status).to.equal(505);
    expect(origin.requests).to.have.length(1);
  });

  it("is refused with 505 behind a blank line, or when only its first line comes", async () => {
    const gateway = await bench.gateway(await bench.origin(ok()));
    for (const bytes of ["\r\n\r\nPRI * HTTP/2.0\r\n\r\n", "PRI * HTTP/2.0\r\nHost: a\r\n\r\n"]) {
      const client = await bench.client(gateway);
      client.send(bytes, "GET");
      expect((await client.answer()).status).to.equal(505);
    }
  });

  it("has as much time as a head has", async () => {
    const limits = { headTimeoutMs: 150 };
    const gateway = await bench.gateway(await bench.origin(ok()), { limits });
    const half = await bench.http2(gateway, { settings: null });
    half.send(preface.subarray(0, 10));
    const silent = await bench.http2(gateway, { settings: null });
    silent.send(preface);
    await half.whenClosed();
    await silent.whenClosed();
    await expectIdle(gateway.engine);
  });

  it("counts among the connections that there may be, as before and once", async () => {
    const limits = { maxConnections: 2, maxConnectionsPerAddress: 1 };
    const gateway = await bench.gateway(await bench.origin(ok()), { limits });
    const one = await bench.http2(gateway);
    expect((await one.answer(one.request(requestFields("/")))).status).to.equal(200);
    expect(gateway.engine.stats().clientConnections).to.equal(1);
    const refused = await bench.client(gateway);
    expect((await refused.answer()).status).to.equal(503);
    one.close();
    await until("it is gone", () => gateway.engine.stats().clientConnections === 0);
    const next = await bench.http2(gateway);
    expect((await next.answer(next.request(requestFields("/")))).status).to.equal(200);
  });
});

describe("HTTP/2: streams", () => {
  const bench = useTestBench(createHttpEngine);

  it("are served at once, each in its own time", async () => {
    const origin = await bench.origin((request, connection) => {
      if (request.target !== "/slow") connection.send(ok(request.target));
    });
    const client = await bench.http2(await bench.gateway(origin));
    const slow = client.request(requestFields("/slow"));
    const streams = Array.from({ length: 50 }, (_, n) => client.request(requestFields(`/${n}`)));
    for (const [n, stream] of streams.entries()) {
      expect((await client.answer(stream)).body.toString()).to.equal(`/${n}`);
    }
    expect(client.answerOn(slow).fields).to.equal(null);
    const waiting = () =>
      origin.connections.find(({ requests }) => requests.some(({ target }) => target === "/slow"));
    await until("it arrived too", () => waiting() !== undefined);
    waiting()?.send(ok("late"));
    expect((await client.answer(slow)).body.toString()).to.equal("late");
  });

  it("that the client cancels cancel their request to the origin, and no other", async () => {
    const origin = await bench.origin((request, connection) => {
      const isBegun = request.target === "/begun";
      if (isBegun)
        connection.send(answerBytes("200 OK", ["Transfer-Encoding: chunked"], "1\r\na\r\n"));
    });
    const gateway = await bench.gateway(origin);
    const client = await bench.http2(gateway);
    const begun = client.request(requestFields("/begun"));
    const silent = client.request(requestFields("/silent"));
    const kept = client.request(requestFields("/kept"));
    const upload = client.request(requestFields("/upload", [], "POST"), { isLast: false });
    client.send(dataFrame(upload, "some", false));
    await until("the answer began", () => client.answerOn(begun).body.length === 1);
    await until("all arrived", () => origin.heads.length === 4);
    client.send(...[begun, silent, upload].map((id) => rstStream(id, errorCode.cancel)));
    await until("the origin was told", () => origin.live === 1);
    expect(gateway.ended.map(({ errorCode: code }) => code)).to.deep.equal([
      ...["client_closed", "client_closed", "client_closed"],
    ]);
    const connection = origin.connections.find(({ closed }) => !closed) as OriginConnection;
    connection.send(ok("still here"));
    expect((await client.answer(kept)).body.toString()).to.equal("still here");
  });

  for (const code of [errorCode.noError, errorCode.cancel, errorCode.internalError, 0xffff]) {
    it(`end whatever the client cancels them with: ${code}`, async () => {
      const origin = await bench.origin(ok());
      const gateway = await bench.gateway(origin);
      const client = await bench.http2(gateway);
      for (const fields of [
        requestFields("/"),
        requestFields("/%zz"),
        requestFields("/", [], "HEAD"),
        requestFields("/", [["expect", "nothing"]], "POST"),
      ]) {
        for (const isLast of [true, false]) {
          const stream = client.newStream();
          client.expect(stream);
          const flags = frameFlag.endHeaders | (isLast ? frameFlag.endStream : 0);
          client.send(
            frame(frameType.headers, flags, stream, headerBlock(fields)),
            rstStream(stream, code),
          );
        }
      }
      expect((await client.answer(client.request(requestFields("/last")))).status).to.equal(200);
      await until("they are over", () => gateway.engine.stats().exchanges === 0);
      expect(gateway.handlerErrors).to.deep.equal([]);
    });
  }

  it("all end with their connection", async () => {
    const origin = await bench.origin(() => {});
    const gateway = await bench.gateway(origin);
    for (const end of [
      (client: Http2Connection) => client.close(),
      (client: Http2Connection) => client.reset(),
      (client: Http2Connection) => client.socket.end(),
      (client: Http2Connection) => client.send(goaway(0, errorCode.internalError)),
    ]) {
      const before = origin.requests.length;
      const client = await bench.http2(gateway);
      for (let n = 0; n < 10; n += 1) client.request(requestFields(`/${n}`));
      await until("they arrived", () => origin.requests.length === before + 10);
      end(client);
      await until("the origin was told", () => origin.live === 0);
      expect(gateway.engine.stats().exchanges).to.equal(0);
    }
  });

  it("whose answer nobody takes hold back their origin, and no other stream", async () => {
    const total = 100 * megabyte;
    const piece = Buffer.alloc(65_536, "x");
    let sent = 0;
    const origin = await bench.origin(async (request, connection) => {
      if (request.target !== "/large") return connection.send(ok("small"));
      connection.send(answerBytes("200 OK", [`Content-Length: ${total}`]));
      for (sent = 0; sent < total && !connection.closed; sent += piece.length) {
        if (connection.socket.write(piece)) continue;
        await new Promise((resolve) => connection.socket.once("drain", resolve));
      }
    });
    const client = await bench.http2(await bench.gateway(origin), { opensWindows: false });
    client.send(windowUpdate(0, 100 * megabyte));
    const large = client.request(requestFields("/large"));
    expect(await settled(() => sent)).to.be.lessThan(bound);
    for (let n = 0; n < 20; n += 1) {
      const answer = await client.answer(client.request(requestFields("/")));
      expect(answer.body.toString()).to.equal("small");
    }
    expect(client.answerOn(large).body.length).to.equal(65_535);
    client.close();
    await until("the origin was told", () => origin.live === 0 || sent < total);
  });

  it("whose body the origin does not take are not read on, and no other stream waits", async () => {
    const slow = await bench.origin(ok("slow"), { paused: true });
    const quick = await bench.origin(ok("quick"));
    const gateway = await bench.gateway([slow, quick], {
      hooks: {
        onPick: ({ path }) => new Target((path === "/upload" ? slow : quick).peer),
      },
    });
    const client = await bench.http2(gateway);
    const upload = client.request(requestFields("/upload", [], "POST"), { isLast: false });
    const piece = Buffer.alloc(16_384, "x");
    let sent = 0;
    const send = () => {
      for (let room = client.room.take(upload, piece.length); room > 0; ) {
        client.send(dataFrame(upload, piece.subarray(0, room), false));
        sent += room;
        room = client.room.take(upload, piece.length);
      }
    };
    client.onFrame = send;
    send();
    const stoppedAt = await settled(() => sent);
    expect(stoppedAt).to.be.lessThan(bound);
    for (let n = 0; n < 20; n += 1) {
      const answer = await client.answer(client.request(requestFields("/")));
      expect(answer.body.toString()).to.equal("quick");
    }
    (await slow.connection()).socket.resume();
    await until("the rest flows", () => sent > stoppedAt + megabyte);
    client.onFrame = () => {};
    client.send(dataFrame(upload, "", true));
    expect((await client.answer(upload)).body.toString()).to.equal("slow");
    expect(slow.request.body.length).to.equal(sent);
  });

  it("time out one by one: a body that stops with 408, a silent origin with 504", async () => {
    const origin = await bench.origin(() => {});
    const limits = { bodyTimeoutMs: 200, responseTimeoutMs: 200 };
    const gateway = await bench.gateway(origin, { limits });
    const client = await bench.http2(gateway);
    const upload = client.request(requestFields("/", [["content-length", "10"]], "POST"), {
      isLast: false,
    });
    client.send(dataFrame(upload, "half", false));
    const silent = client.request(requestFields("/"));
    expect((await client.answer(upload)).status).to.equal(408);
    expect((await client.answer(silent)).status).to.equal(504);
    expect(client.goaway).to.equal(null);
  });

  it("whose answer is never taken are reset in the end, though its connection is well", async () => {
    const origin = await bench.origin(ok("x".repeat(5 * megabyte)));
    const gateway = await bench.gateway(origin, { limits: { bodyTimeoutMs: 200 } });
    const client = await bench.http2(gateway, { settings: [[setting.initialWindowSize, 0]] });
    const stream = client.request(requestFields("/"));
    const answer = await client.answer(stream);
    expect([answer.ended, answer.resetCode]).to.deep.equal([false, errorCode.internalError]);
    expect((await gateway.outcome()).errorCode).to.equal("client_closed");
    expect(client.isOver).to.equal(false);
  });

  it("tell of one client each, also when another connection had their place before", async () => {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin, { trusts: (address) => address === "127.0.0.2" });
    const said = requestFields("/", [["x-forwarded-for", "6.6.6.6"]]);
    for (const [from, told] of [
      ["127.0.0.2", "6.6.6.6, 127.0.0.2"],
      ["127.0.0.3", "127.0.0.3"],
      ["127.0.0.2", "6.6.6.6, 127.0.0.2"],
    ] as const) {
      const client = await bench.http2(gateway, { from });
      await client.answer(client.request(said));
      const request = origin.requests.at(-1);
      expect(request && fieldOf(request, "x-forwarded-for")).to.equal(told);
    }
  });
});

describe("HTTP/2: how a connection ends", () => {
  const bench = useTestBench(createHttpEngine);

  it("is said by GOAWAY when the gateway drains, and what was on its way is answered", async () => {
    const origin = await bench.origin(() => {});
    const gateway = await bench.gateway(origin);
    const client = await bench.http2(gateway, { acknowledges: false });
    const idle = await bench.http2(gateway);
    await until("it is known", () => gateway.engine.stats().clientConnections === 2);
    const stream = client.request(requestFields("/"));
    await until("it arrived", () => origin.requests.length === 1);
    const drained = gateway.engine.drain(30_000);
    await until("it is told", () => client.goaway !== null);
    expect(client.goaway).to.deep.equal({ lastStream: 0x7fffffff, code: errorCode.noError });
    // This was sent before the client knew.
    const crossing = client.request(requestFields("/crossing"));
    await until("it arrived too", () => origin.requests.length === 2);
    const asked = client.framesOf(frameType.ping)[0];
    client.send(frame(frameType.ping, frameFlag.ack, 0, asked?.payload));
    await until("the last stream is named", () => client.goaway?.lastStream === crossing);
    // What is sent now was not taken, and the client knows.
    const late = client.request(requestFields("/late"));
    for (const connection of origin.connections) connection.send(ok("done"));
    for (const served of [stream, crossing])
      expect((await client.answer(served)).body.toString()).to.equal("done");
    await client.whenClosed();
    await idle.whenClosed();
    expect(client.answerOn(late).fields).to.equal(null);
    expect(await drained).to.equal(0);
    expect(origin.requests).to.have.length(2);
  });

  it("is said in the end to a client that does not answer pings, too", async () => {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin);
    const client = await bench.http2(gateway, { acknowledges: false });
    const stream = client.request(requestFields("/"));
    expect((await client.answer(stream)).status).to.equal(200);
    expect(await gateway.engine.drain(30_000)).to.equal(0);
    expect(client.goaway).to.deep.equal({ lastStream: stream, code: errorCode.noError });
  });

  it("comes at the drain's deadline for what does not end", async () => {
    const origin = await bench.origin(() => {});
    const gateway = await bench.gateway(origin);
    const client = await bench.http2(gateway);
    client.request(requestFields("/"));
    await until("it arrived", () => origin.requests.length === 1);
    expect(await gateway.engine.drain(200)).to.equal(1);
    await client.whenClosed();
  });

  it("comes after as many requests as one may bring, all of which are answered", async () => {
    const origin = await bench.origin(ok());
    const limits = { maxRequestsPerConnection: 3 };
    const client = await bench.http2(await bench.gateway(origin, { limits }));
    const streams = [1, 2, 3].map((n) => client.request(requestFields(`/${n}`)));
    for (const stream of streams) expect((await client.answer(stream)).status).to.equal(200);
    await client.whenClosed();
    expect(client.goaway).to.deep.equal({ lastStream: streams[2], code: errorCode.noError });
  });

  it("comes when it was idle for long, and not before", async () => {
    const origin = await bench.origin(() => {});
    const gateway = await bench.gateway(origin, { limits: { idleTimeoutMs: 200 } });
    const client = await bench.http2(gateway);
    const stream = client.request(requestFields("/"));
    await until("it arrived", () => origin.requests.length === 1);
    const end = gateway.clock.now() + 500;
    await until("it took long", () => client.isOver || gateway.clock.now() > end);
    expect(client.isOver).to.equal(false);
    origin.connections[0]?.send(ok());
    expect((await client.answer(stream)).status).to.equal(200);
    await client.whenClosed();
    expect(client.goaway?.code).to.equal(errorCode.noError);
  });

  it("comes when the client asks for it, after its requests are answered", async () => {
    const origin = await bench.origin(() => {});
    const client = await bench.http2(await bench.gateway(origin));
    const stream = client.request(requestFields("/"));
    const connection = await origin.connection();
    await until("it arrived", () => origin.requests.length === 1);
    client.send(goaway(0, errorCode.noError));
    connection.send(ok("last"));
    expect((await client.answer(stream)).body.toString()).to.equal("last");
    await client.whenClosed();
  });

  for (const [how, end] of [
    ["drains", (gateway: TestGateway) => gateway.engine.drain(200)],
    ["has waited for long", () => {}],
    [
      "has had enough of it",
      (_: TestGateway, client: Http2Connection) => {
        for (let n = 0; n < 2_000; n += 1) client.send(ping());
      },
    ],
  ] as const) {
    it(`does not wait for a client that neither reads nor closes when the gateway ${how}`, async () => {
      const limits = { idleTimeoutMs: 200 };
      const gateway = await bench.gateway(await bench.origin(ok("x".repeat(50_000))), { limits });
      const client = await bench.http2(gateway, { settings: [[setting.initialWindowSize, 10]] });
      client.request(requestFields("/"));
      await until("it is served", () => gateway.engine.stats().requests === 1);
      client.socket.pause();
      client.send(rstStream(1, errorCode.cancel));
      await end(gateway, client);
      await until("it is gone", () => gateway.engine.stats().clientConnections === 0);
    });
  }
});
