/**
 * Clients that send what costs the gateway work and themselves nothing. Each flood ends with its connection, is counted,
 * leaves nothing behind, and meanwhile others are served.
 */
import { expect } from "chai";
import { createHttpEngine } from "../../../gateway/engine/index.ts";
import {
  type GatewayOptions,
  ok,
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
  settingsFrame,
  windowUpdate,
} from "../../support/http2/frames.ts";
import { headerBlock, hpackInteger } from "../../support/http2/hpack.ts";

const head = headerBlock(requestFields("/"));

function headers(stream: number, flags: number, block = head): Buffer {
  return frame(frameType.headers, flags, stream, block);
}

/** Sends the same again and again, in batches, until the gateway closes the connection or `most` were sent. */
async function flood(
  client: Http2Connection,
  most: number,
  piece: (n: number) => Buffer,
): Promise<void> {
  const batch = 100;
  for (let sent = 0; sent < most && !client.isOver; sent += batch) {
    client.send(...Array.from({ length: batch }, (_, at) => piece(sent + at)));
    await new Promise((resolve) => setImmediate(resolve));
    if (client.socket.writableNeedDrain && !client.socket.destroyed) {
      await until("there is room", () => !client.socket.writableNeedDrain || client.isOver);
    }
  }
}

describe("HTTP/2: floods", () => {
  const bench = useTestBench(createHttpEngine);
  let gateway: TestGateway;
  let other: Http2Connection;

  async function open(options: GatewayOptions = {}): Promise<Http2Connection> {
    const origin = await bench.origin((request, connection) => {
      if (request.target !== "/silent") connection.send(ok());
    });
    gateway = await bench.gateway(origin, options);
    other = await bench.http2(gateway);
    return bench.http2(gateway);
  }

  /** Another client is served, and nothing is left of the first. */
  async function expectWell(): Promise<void> {
    expect((await other.answer(other.request(requestFields("/")))).status).to.equal(200);
    other.close();
    await until("nothing is left of them", () => {
      const { exchanges, clientConnections } = gateway.engine.stats();
      return exchanges === 0 && clientConnections === 0;
    });
    expect(gateway.handlerErrors).to.deep.equal([]);
  }

  it("of requests that are cancelled at once (rapid reset)", async () => {
    const client = await open();
    const silent = headerBlock(requestFields("/silent"));
    await flood(client, 20_000, (n) => {
      const stream = 2 * n + 1;
      client.expect(stream);
      return Buffer.concat([headers(stream, 5, silent), rstStream(stream, errorCode.cancel)]);
    });
    await client.whenClosed();
    expect(client.goaway?.code).to.equal(errorCode.enhanceYourCalm);
    expect(gateway.engine.stats().refused).to.deep.equal({ http2_reset_flood: 1 });
    expect(gateway.engine.stats().requests).to.be.lessThan(1_000);
    await expectWell();
  });

  it("of requests that the client has the gateway cancel (made you reset)", async () => {
    const client = await open();
    const post = headerBlock(requestFields("/silent", [["content-length", "5"]], "POST"));
    await flood(client, 20_000, (n) => {
      const stream = 2 * n + 1;
      client.expect(stream);
      // Less of a body than was announced.
      return Buffer.concat([headers(stream, 4, post), dataFrame(stream, "x", true)]);
    });
    await client.whenClosed();
    expect(client.goaway?.code).to.equal(errorCode.enhanceYourCalm);
    expect(gateway.engine.stats().refused).to.deep.equal({ http2_reset_flood: 1 });
    expect(gateway.engine.stats().requests).to.be.lessThan(1_000);
    await expectWell();
  });

  for (const [what, wrong] of [
    ["a window update by nothing", (stream: number) => windowUpdate(stream, 0)],
    ["a window that is too large", (stream: number) => windowUpdate(stream, 0x7fffffff)],
    ["content behind the end", (stream: number) => dataFrame(stream, "x", true)],
    ["a head behind the end", (stream: number) => headers(stream, 5)],
    [
      "a priority that depends on itself",
      (stream: number) => {
        const itself = Buffer.from([0, 0, 0, 0, 7]);
        itself.writeUInt32BE(stream);
        return frame(frameType.priority, 0, stream, itself);
      },
    ],
  ] as const) {
    it(`of answers that the client has the gateway cut off (made you reset): ${what}`, async () => {
      const origin = await bench.origin((request, connection) =>
        connection.send(
          request.target === "/half" ? "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n12345" : ok(),
        ),
      );
      gateway = await bench.gateway(origin);
      other = await bench.http2(gateway);
      const client = await bench.http2(gateway);
      for (let sent = 0; sent < 2_000 && !client.isOver; sent += 50) {
        const streams = Array.from({ length: 50 }, () => client.request(requestFields("/half")));
        await until(
          "the answers have begun",
          () => client.isOver || streams.every((one) => client.answerOn(one).fields !== null),
        );
        for (const stream of streams) client.send(wrong(stream));
      }
      await client.whenClosed();
      expect(client.goaway?.code).to.equal(errorCode.enhanceYourCalm);
      expect(gateway.engine.stats().refused).to.deep.equal({ http2_reset_flood: 1 });
      await expectWell();
    });
  }

  it("of empty data on streams that are over", async () => {
    const client = await open();
    const stream = client.request(requestFields("/silent", [], "POST"), { isLast: false });
    client.send(windowUpdate(stream, 0));
    await client.answer(stream);
    await flood(client, 50_000, () => dataFrame(stream, "", false));
    await client.whenClosed();
    expect(gateway.engine.stats().refused).to.deep.equal({ http2_invalid_frames: 1 });
    await expectWell();
  });

  it("of pings that are answered", async () => {
    const client = await open();
    await flood(client, 50_000, () => ping());
    await client.whenClosed();
    expect(client.goaway?.code).to.equal(errorCode.enhanceYourCalm);
    expect(gateway.engine.stats().refused).to.deep.equal({ http2_ping_flood: 1 });
    await expectWell();
  });

  it("of pings whose answers nobody reads", async () => {
    const client = await open();
    client.socket.pause();
    await flood(client, 200_000, () => ping());
    client.socket.resume();
    await client.whenClosed();
    await expectWell();
  });

  it("of settings", async () => {
    const client = await open();
    await flood(client, 20_000, (n) => settingsFrame([[setting.initialWindowSize, n]]));
    await client.whenClosed();
    expect(client.goaway?.code).to.equal(errorCode.enhanceYourCalm);
    expect(gateway.engine.stats().refused).to.deep.equal({ http2_settings_flood: 1 });
    await expectWell();
  });

  it("of fragments of one head (CONTINUATION)", async () => {
    const client = await open();
    client.expect(1);
    client.send(headers(1, frameFlag.endStream));
    const piece = frame(frameType.continuation, 0, 1, headerBlock([["x-a", "a".repeat(1_000)]]));
    await flood(client, 20_000, () => piece);
    await client.whenClosed();
    expect(gateway.engine.stats().refused).to.deep.equal({ http2_continuation_flood: 1 });
    expect(gateway.engine.stats().requests).to.equal(0);
    await expectWell();
  });

  it("of empty fragments of one head", async () => {
    const client = await open();
    client.expect(1);
    client.send(headers(1, frameFlag.endStream));
    await flood(client, 50_000, () => frame(frameType.continuation, 0, 1));
    await client.whenClosed();
    expect(gateway.engine.stats().refused).to.deep.equal({ http2_continuation_flood: 1 });
    await expectWell();
  });

  it("of empty data", async () => {
    const client = await open();
    client.request(requestFields("/silent", [], "POST"), { isLast: false });
    await flood(client, 50_000, () => dataFrame(1, "", false));
    await client.whenClosed();
    expect(gateway.engine.stats().refused).to.deep.equal({ http2_invalid_frames: 1 });
    await expectWell();
  });

  it("of one field that stands for a large one, thousands of times (compression bomb)", async () => {
    const client = await open();
    client.expect(1);
    const large = Buffer.concat([
      Buffer.from([0x40]),
      ...[hpackInteger(3, 7), Buffer.from("x-a"), hpackInteger(4_000, 7), Buffer.alloc(4_000, "a")],
    ]);
    // Each of these bytes is the field that was put into the table.
    const bomb = Buffer.concat([head, large, Buffer.alloc(10_000, 0x80 | 62)]);
    client.send(headers(1, frameFlag.endHeaders | frameFlag.endStream, bomb));
    const answer = await client.answer(1);
    expect(answer.status === 431 || answer.resetCode === errorCode.enhanceYourCalm).to.equal(true);
    expect(gateway.engine.stats().requests).to.equal(0);
    client.close();
    await expectWell();
  });

  it("of requests at once, beyond what the client knows that it may have", async () => {
    const client = await open({ limits: { maxStreams: 5 } });
    await client.answer(client.request(requestFields("/")));
    for (let n = 0; n < 6; n += 1) client.request(requestFields("/silent"));
    await client.whenClosed();
    expect(client.goaway?.code).to.equal(errorCode.protocolError);
    await expectWell();
  });

  it("of requests at once, by a client that does not know yet: they are refused one by one", async () => {
    const origin = await bench.origin(() => {});
    gateway = await bench.gateway(origin, { limits: { maxStreams: 5 } });
    const client = await bench.http2(gateway, { acknowledges: false });
    const streams = Array.from({ length: 8 }, () => client.request(requestFields("/silent")));
    for (const stream of streams.slice(5)) {
      expect((await client.answer(stream)).resetCode).to.equal(errorCode.refusedStream);
    }
    await until("the others arrived", () => origin.requests.length === 5);
    expect(client.isOver).to.equal(false);
  });

  it("of bodies for requests that were refused one by one is none", async () => {
    const origin = await bench.origin((_request, connection) => connection.send(ok()));
    gateway = await bench.gateway(origin, { limits: { maxStreams: 5 } });
    const client = await bench.http2(gateway, { acknowledges: false });
    const post = requestFields("/", [], "POST");
    const streams = Array.from({ length: 100 }, () => client.request(post, { isLast: false }));
    client.send(...streams.map((stream) => dataFrame(stream, "hello", true)));
    for (const stream of streams.slice(0, 5))
      expect((await client.answer(stream)).status).to.equal(200);
    expect(client.isOver).to.equal(false);
  });

  it("of window updates, beyond what a window may be", async () => {
    const client = await open();
    const stream = client.request(requestFields("/silent"));
    client.send(windowUpdate(stream, 0x7fffffff), windowUpdate(stream, 0x7fffffff));
    expect((await client.answer(stream)).resetCode).to.equal(errorCode.flowControlError);
    await until("it is over", () => gateway.engine.stats().exchanges === 0);
    client.send(windowUpdate(0, 0x7fffffff));
    await client.whenClosed();
    expect(client.goaway?.code).to.equal(errorCode.flowControlError);
    expect(gateway.engine.stats().refused).to.deep.equal({ http2_protocol_error: 1 });
    await expectWell();
  });

  it("of window updates that open nothing that was used", async () => {
    const client = await open();
    await flood(client, 1_000_000, () => windowUpdate(0, 1));
    await client.whenClosed();
    expect(client.goaway?.code).to.equal(errorCode.enhanceYourCalm);
    expect(gateway.engine.stats().refused).to.deep.equal({ http2_window_flood: 1 });
    await expectWell();
  });

  for (const [what, piece] of [
    ["PRIORITY", frame(frameType.priority, 0, 9, Buffer.from([0, 0, 0, 1, 7]))],
    ["an unknown type", frame(0x77, 0, 0, Buffer.alloc(8))],
  ] as const) {
    it(`of frames that mean nothing to the gateway: ${what}`, async () => {
      const client = await open();
      await flood(client, 500, () => piece);
      expect((await client.answer(client.request(requestFields("/")))).status).to.equal(200);
      await flood(client, 50_000, () => piece);
      await client.whenClosed();
      expect(client.goaway?.code).to.equal(errorCode.enhanceYourCalm);
      expect(gateway.engine.stats().refused).to.deep.equal({ http2_ignored_flood: 1 });
      await expectWell();
    });
  }

  it("of small window updates are none: a client that reads fast sends as many", async () => {
    const client = await open();
    await flood(client, 30_000, () => windowUpdate(0, 1));
    expect((await client.answer(client.request(requestFields("/")))).status).to.equal(200);
    client.close();
    await expectWell();
  });
});
