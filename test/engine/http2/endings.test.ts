/** How connections of HTTP/2 end: what was answered arrives whole, and nobody keeps a connection that is to end. */
import { expect } from "chai";
import { createHttpEngine } from "../../../gateway/engine/index.ts";
import { ok, until, useTestBench } from "../../support/http.ts";
import { requestFields } from "../../support/http2/connection.ts";
import {
  errorCode,
  frame,
  frameType,
  ping,
  preface,
  rstStream,
  setting,
  settingsFrame,
  windowUpdate,
} from "../../support/http2/frames.ts";

describe("HTTP/2: ends of connections", () => {
  const bench = useTestBench(createHttpEngine);

  for (const size of [1, 10_000, 100_000]) {
    it(`the last answer is whole when it comes after GOAWAY: ${size} bytes`, async () => {
      const origin = await bench.origin(() => {});
      const gateway = await bench.gateway(origin);
      const client = await bench.http2(gateway);
      const stream = client.request(requestFields("/"));
      await until("the request arrived", () => origin.requests.length === 1);
      client.send(frame(frameType.goaway, 0, 0, Buffer.alloc(8)));
      await until("the gateway ends the connection too", () => client.goaway !== null);
      // In pieces, so that the answer waits in its stream before it goes out.
      const body = "x".repeat(size);
      const connection = await origin.connection();
      await connection.sendPieces([
        `HTTP/1.1 200 OK\r\ncontent-length: ${size}\r\n\r\n`,
        body.slice(0, size / 2),
        body.slice(size / 2),
      ]);
      const answer = await client.answer(stream);
      expect(answer.body.length).to.equal(size);
      expect(answer.ended).to.equal(true);
      await client.whenClosed();
    });
  }

  it("frames that come behind the last answer do not cost the client the answer", async () => {
    const origin = await bench.origin(() => {});
    const gateway = await bench.gateway(origin);
    const client = await bench.http2(gateway, {
      settings: [[setting.initialWindowSize, 2 ** 30]],
      opensWindows: false,
    });
    const stream = client.request(requestFields("/"));
    await until("the request arrived", () => origin.requests.length === 1);
    client.send(frame(frameType.goaway, 0, 0, Buffer.alloc(8)), windowUpdate(0, 2 ** 30));
    await until("the gateway ends the connection too", () => client.goaway !== null);
    // More than sockets hold, so the end of it waits in the gateway.
    client.socket.pause();
    const size = 20_000_000;
    (await origin.connection()).send(ok("x".repeat(size)));
    await until("the client has room for no more", () => client.socket.readableLength > 0);
    client.socket.resume();
    const pinged = setInterval(() => client.send(ping()), 20);
    bench.later(() => clearInterval(pinged));
    const answer = await client.answer(stream);
    expect(answer.body.length).to.equal(size);
    expect(answer.ended).to.equal(true);
  });

  it("a connection that begins while the gateway drains is served once, and told", async () => {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin);
    const client = await bench.http2(gateway, { settings: null });
    await until("it is accepted", () => gateway.engine.stats().clientConnections === 1);
    const drained = gateway.engine.drain(60_000);
    client.send(preface, settingsFrame([]));
    expect((await client.answer(client.request(requestFields("/")))).status).to.equal(200);
    await client.whenClosed();
    expect(client.goaway?.code).to.equal(errorCode.noError);
    expect(await drained).to.equal(0);
  });

  it("settings do not keep an idle connection", async () => {
    const gateway = await bench.gateway(await bench.origin(ok()), {
      limits: { idleTimeoutMs: 1_000 },
    });
    const client = await bench.http2(gateway);
    // Fewer than a flood.
    for (let sent = 0; sent < 18 && !client.isOver; sent += 1) {
      client.send(settingsFrame([]));
      const end = gateway.clock.now() + 500;
      await until("there is time for the next", () => client.isOver || gateway.clock.now() > end);
    }
    expect(client.isOver).to.equal(true);
    expect(client.goaway?.code).to.equal(errorCode.noError);
  });

  it("streams that the client reset are forgotten although the connection's window is closed", async () => {
    const origin = await bench.origin(ok("x".repeat(1_000)));
    const gateway = await bench.gateway(origin);
    const client = await bench.http2(gateway, { opensWindows: false });
    // The connection's window has room for 65 of them.
    const streams = Array.from({ length: 100 }, () => client.request(requestFields("/")));
    await until("all answers have begun", () =>
      streams.every((stream) => client.answerOn(stream).fields !== null),
    );
    const waiting = streams.filter((stream) => !client.answerOn(stream).ended);
    const kept = waiting.pop() ?? 0;
    client.send(...waiting.map((stream) => rstStream(stream, errorCode.cancel)));
    client.send(windowUpdate(0, 65_535));
    expect((await client.answer(kept)).body.length).to.equal(1_000);
    expect(waiting.filter((stream) => client.answerOn(stream).ended)).to.deep.equal([]);
  });
});
