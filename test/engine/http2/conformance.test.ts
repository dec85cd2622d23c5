/**
 * What RFC 9113 wants of a server whose client breaks the rules, case by case, with frames that are written by hand.
 */
import { expect } from "chai";
import { createHttpEngine } from "../../../gateway/engine/index.ts";
import { ok, until, useTestBench } from "../../support/http.ts";
import { type Http2Connection, requestFields } from "../../support/http2/connection.ts";
import {
  dataFrame,
  errorCode,
  frame,
  frameFlag,
  frameType,
  ping,
  preface,
  rstStream,
  setting,
  settingsFrame,
  uint32,
  windowUpdate,
} from "../../support/http2/frames.ts";
import {
  type Field,
  headerBlock,
  hpackInteger,
  indexedLiteral,
} from "../../support/http2/hpack.ts";

const { endHeaders, endStream, padded, priority } = frameFlag;
const head = headerBlock(requestFields("/"));
const post = headerBlock(requestFields("/", [], "POST"));
const postOf = (length: number) =>
  headerBlock(requestFields("/", [["content-length", String(length)]], "POST"));

/** A request's head in one frame; `flags` come on top of END_HEADERS. */
function headers(stream: number, block = head, flags: number = endStream): Buffer {
  return frame(frameType.headers, endHeaders | flags, stream, block);
}

/** The head of a request with these fields in the place of the usual ones. */
function withFields(...fields: readonly Field[]): Buffer {
  return headers(1, headerBlock(fields));
}

const method: Field = [":method", "GET"];
const scheme: Field = [":scheme", "http"];
const path: Field = [":path", "/"];
const authority: Field = [":authority", "shop.example"];

/** What ends the whole connection, and the code that says why. */
const connectionErrors: readonly (readonly [what: string, code: number, ...Buffer[]])[] = [
  ["DATA on stream 0", errorCode.protocolError, dataFrame(0, "x", true)],
  ["DATA on an idle stream", errorCode.protocolError, dataFrame(1, "x", true)],
  [
    "DATA padded by more than it has",
    errorCode.protocolError,
    headers(1, post, 0),
    frame(frameType.data, padded | endStream, 1, Buffer.from([9, 0])),
  ],
  ["HEADERS on stream 0", errorCode.protocolError, headers(0)],
  ["HEADERS on an even stream", errorCode.protocolError, headers(2)],
  [
    "HEADERS padded by more than they have",
    errorCode.protocolError,
    frame(frameType.headers, padded | endHeaders | endStream, 1, Buffer.from([200, 0x82])),
  ],
  [
    "HEADERS between the fragments of others",
    errorCode.protocolError,
    frame(frameType.headers, endStream, 1, head),
    headers(3),
  ],
  [
    "PRIORITY between the fragments of a head",
    errorCode.protocolError,
    frame(frameType.headers, endStream, 1, head),
    frame(frameType.priority, 0, 3, Buffer.alloc(5)),
  ],
  [
    "an unknown frame between the fragments of a head",
    errorCode.protocolError,
    frame(frameType.headers, endStream, 1, head),
    frame(0x77, 0, 1, Buffer.alloc(5)),
  ],
  ["CONTINUATION of nothing", errorCode.protocolError, frame(frameType.continuation, 4, 1, head)],
  [
    "CONTINUATION of another stream",
    errorCode.protocolError,
    frame(frameType.headers, endStream, 1, head.subarray(0, 4)),
    frame(frameType.continuation, endHeaders, 3, head.subarray(4)),
  ],
  ["RST_STREAM on stream 0", errorCode.protocolError, rstStream(0, errorCode.cancel)],
  ["RST_STREAM on an idle stream", errorCode.protocolError, rstStream(1, errorCode.cancel)],
  [
    "RST_STREAM of 3 bytes",
    errorCode.frameSizeError,
    headers(1, post, 0),
    frame(frameType.rstStream, 0, 1, Buffer.alloc(3)),
  ],
  [
    "PRIORITY of 4 bytes",
    errorCode.frameSizeError,
    frame(frameType.priority, 0, 1, Buffer.alloc(4)),
  ],
  ["SETTINGS on a stream", errorCode.protocolError, frame(frameType.settings, 0, 1)],
  [
    "SETTINGS of 3 bytes",
    errorCode.frameSizeError,
    frame(frameType.settings, 0, 0, Buffer.alloc(3)),
  ],
  [
    "an acknowledgement of SETTINGS with content",
    errorCode.frameSizeError,
    frame(frameType.settings, frameFlag.ack, 0, Buffer.alloc(6)),
  ],
  ["ENABLE_PUSH of 2", errorCode.protocolError, settingsFrame([[setting.enablePush, 2]])],
  [
    "INITIAL_WINDOW_SIZE above 2^31-1",
    errorCode.flowControlError,
    settingsFrame([[setting.initialWindowSize, 0x80000000]]),
  ],
  [
    "MAX_FRAME_SIZE below 16384",
    errorCode.protocolError,
    settingsFrame([[setting.maxFrameSize, 16_383]]),
  ],
  [
    "MAX_FRAME_SIZE above 2^24-1",
    errorCode.protocolError,
    settingsFrame([[setting.maxFrameSize, 16_777_216]]),
  ],
  ["PUSH_PROMISE", errorCode.protocolError, frame(frameType.pushPromise, endHeaders, 1, head)],
  ["PING on a stream", errorCode.protocolError, frame(frameType.ping, 0, 1, Buffer.alloc(8))],
  ["PING of 7 bytes", errorCode.frameSizeError, frame(frameType.ping, 0, 0, Buffer.alloc(7))],
  ["GOAWAY on a stream", errorCode.protocolError, frame(frameType.goaway, 0, 1, Buffer.alloc(8))],
  ["WINDOW_UPDATE of 0 on the connection", errorCode.protocolError, windowUpdate(0, 0)],
  ["WINDOW_UPDATE on an idle stream", errorCode.protocolError, windowUpdate(1, 1)],
  [
    "WINDOW_UPDATE of 3 bytes",
    errorCode.frameSizeError,
    frame(frameType.windowUpdate, 0, 0, Buffer.alloc(3)),
  ],
  [
    "a window of the connection above 2^31-1",
    errorCode.flowControlError,
    windowUpdate(0, 0x7fffffff),
  ],
  [
    "DATA longer than MAX_FRAME_SIZE",
    errorCode.frameSizeError,
    headers(1, post, 0),
    dataFrame(1, Buffer.alloc(16_385), true),
  ],
  [
    "HEADERS longer than MAX_FRAME_SIZE",
    errorCode.frameSizeError,
    headers(1, headerBlock([...requestFields("/"), ["x-large", "x".repeat(16_400)]])),
  ],
  [
    "an index that no header field has",
    errorCode.compressionError,
    headers(1, hpackInteger(70, 7, 0x80)),
  ],
  ["the index 0", errorCode.compressionError, headers(1, Buffer.from([0x80]))],
  [
    "a table size above what was allowed",
    errorCode.compressionError,
    headers(1, Buffer.concat([hpackInteger(70_000, 5, 0x20), head])),
  ],
  [
    "a table size behind the first field",
    errorCode.compressionError,
    headers(1, Buffer.concat([head, hpackInteger(100, 5, 0x20)])),
  ],
  [
    "a Huffman code that holds the end of a string",
    errorCode.compressionError,
    headers(1, Buffer.from([0x82, 0x86, 0x84, 0x41, 0x84, 0xff, 0xff, 0xff, 0xff])),
  ],
];

/** What ends a stream, and leaves the connection as it is. */
const streamErrors: readonly (readonly [what: string, code: number, ...Buffer[]])[] = [
  ["no :method", errorCode.protocolError, withFields(scheme, authority, path)],
  ["no :scheme", errorCode.protocolError, withFields(method, authority, path)],
  ["no :path", errorCode.protocolError, withFields(method, scheme, authority)],
  ["an empty :path", errorCode.protocolError, withFields(method, scheme, authority, [":path", ""])],
  [
    "a :path without a slash",
    errorCode.protocolError,
    withFields(method, scheme, authority, [":path", "http://evil.example/"]),
  ],
  ["two :method", errorCode.protocolError, withFields(method, method, scheme, authority, path)],
  ["two :path", errorCode.protocolError, withFields(method, scheme, authority, path, path)],
  ["two :scheme", errorCode.protocolError, withFields(method, scheme, scheme, authority, path)],
  [
    "two :authority",
    errorCode.protocolError,
    withFields(method, scheme, authority, authority, path),
  ],
  [
    "an unknown pseudo field",
    errorCode.protocolError,
    withFields(...requestFields("/"), [":x", "1"]),
  ],
  [
    "an answer's pseudo field",
    errorCode.protocolError,
    withFields(...requestFields("/"), [":status", "200"]),
  ],
  [
    "a pseudo field behind another field",
    errorCode.protocolError,
    withFields(method, scheme, authority, ["x-a", "1"], path),
  ],
  ...["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"].map(
    (name): readonly [string, number, Buffer] => [
      `the field ${name} of a connection`,
      errorCode.protocolError,
      withFields(...requestFields("/", [[name, "close"]])),
    ],
  ),
  [
    "TE of anything but trailers",
    errorCode.protocolError,
    withFields(...requestFields("/", [["te", "trailers, deflate"]])),
  ],
  [
    "a name in capitals",
    errorCode.protocolError,
    withFields(...requestFields("/", [["X-A", "1"]])),
  ],
  [
    "a body shorter than its content-length",
    errorCode.protocolError,
    headers(1, postOf(3), 0),
    dataFrame(1, "xy", true),
  ],
  [
    "a body longer than its content-length",
    errorCode.protocolError,
    headers(1, postOf(1), 0),
    dataFrame(1, "xy", true),
  ],
  [
    "WINDOW_UPDATE of 0 on a stream",
    errorCode.protocolError,
    headers(1, post, 0),
    windowUpdate(1, 0),
  ],
  [
    "a window of the stream above 2^31-1",
    errorCode.flowControlError,
    headers(1, post, 0),
    windowUpdate(1, 0x7fffffff),
  ],
  [
    "a space in a field's name",
    errorCode.protocolError,
    withFields(...requestFields("/", [["x a", "1"]])),
  ],
  [
    "a line end in a value",
    errorCode.protocolError,
    withFields(...requestFields("/", [["x-a", "1\r\nx-forged: 1"]])),
  ],
  ["NUL in a value", errorCode.protocolError, withFields(...requestFields("/", [["x-a", "1\0"]]))],
  [
    "a space in front of a value",
    errorCode.protocolError,
    withFields(...requestFields("/", [["x-a", " 1"]])),
  ],
  [
    "a head that depends on itself",
    errorCode.protocolError,
    frame(
      frameType.headers,
      priority | endHeaders | endStream,
      1,
      Buffer.concat([uint32(1), Buffer.from([255]), head]),
    ),
  ],
  ["no body though content-length says one", errorCode.protocolError, headers(1, postOf(3))],
  [
    "a pseudo field in a trailer",
    errorCode.protocolError,
    headers(1, post, 0),
    dataFrame(1, "x", false),
    headers(1, headerBlock([[":method", "GET"]])),
  ],
  [
    "a trailer that does not end the stream",
    errorCode.protocolError,
    headers(1, post, 0),
    dataFrame(1, "x", false),
    headers(1, headerBlock([["x-a", "1"]]), 0),
  ],
];

/** What must be taken, however odd it looks. */
const allowed: readonly (readonly [what: string, ...Buffer[]])[] = [
  [
    "a padded head",
    frame(
      frameType.headers,
      padded | endHeaders | endStream,
      1,
      Buffer.concat([Buffer.from([3]), head, Buffer.alloc(3)]),
    ),
  ],
  [
    "a head with a priority",
    frame(
      frameType.headers,
      priority | endHeaders | endStream,
      1,
      Buffer.concat([uint32(0x80000003), Buffer.from([255]), head]),
    ),
  ],
  [
    "a head in three fragments",
    frame(frameType.headers, endStream, 1, head.subarray(0, 5)),
    frame(frameType.continuation, 0, 1, head.subarray(5, 9)),
    frame(frameType.continuation, endHeaders, 1, head.subarray(9)),
  ],
  ["a frame of an unknown type", frame(0x77, 0xff, 0, Buffer.alloc(8)), headers(1)],
  ["unknown flags", frame(frameType.headers, 0x52 | endHeaders | endStream, 1, head)],
  ["an unknown setting", settingsFrame([[0x99, 7]]), headers(1)],
  ["a reserved bit", frame(frameType.headers, endHeaders | endStream, 0x80000001, head)],
  [
    "PRIORITY on idle streams, which nobody looks at",
    ...Array.from({ length: 20 }, (_, index) =>
      frame(frameType.priority, 0, 3 + 2 * index, Buffer.concat([uint32(1), Buffer.from([7])])),
    ),
    headers(1),
  ],
  [
    "PRIORITY on a stream that is over",
    headers(1),
    frame(frameType.priority, 0, 1, Buffer.concat([uint32(0), Buffer.from([7])])),
  ],
  [
    "a field that goes into the table",
    headers(1, Buffer.concat([head, indexedLiteral("x-a", "1")])),
  ],
  ["WINDOW_UPDATE on a stream that is over", headers(1), windowUpdate(1, 10)],
  ["a smaller window in the middle", headers(1), settingsFrame([[setting.initialWindowSize, 10]])],
];

describe("HTTP/2, RFC 9113", () => {
  const bench = useTestBench(createHttpEngine);

  async function open(options = {}): Promise<Http2Connection> {
    const origin = await bench.origin(ok());
    const gateway = await bench.gateway(origin);
    const client = await bench.http2(gateway, options);
    for (const stream of [0, 1, 2, 3, 5]) client.expect(stream);
    return client;
  }

  for (const [what, code, ...frames] of connectionErrors) {
    it(`ends the connection with an error: ${what}`, async () => {
      const client = await open();
      client.send(...frames);
      await client.whenClosed();
      expect(client.goaway?.code).to.equal(code);
    });
  }

  for (const [what, code, ...frames] of streamErrors) {
    it(`resets the stream alone: ${what}`, async () => {
      const client = await open();
      client.send(...frames);
      expect((await client.answer(1)).resetCode).to.equal(code);
      client.send(headers(5));
      expect((await client.answer(5)).status).to.equal(200);
      expect(client.goaway).to.equal(null);
    });
  }

  for (const [what, ...frames] of allowed) {
    it(`takes ${what}`, async () => {
      const client = await open();
      client.send(...frames);
      const answer = await client.answer(1);
      expect(answer.status).to.equal(200);
      expect(answer.body.toString()).to.equal("ok");
      expect(client.goaway).to.equal(null);
    });
  }

  it("acknowledges settings and answers pings, in their order", async () => {
    const client = await open();
    client.send(settingsFrame([[setting.initialWindowSize, 1_000]]), ping(Buffer.from("abcdefgh")));
    const isAck = ({ type, flags }: { type: number; flags: number }) =>
      flags === frameFlag.ack && (type === frameType.settings || type === frameType.ping);
    await until("the acknowledgements came", () => client.frames.filter(isAck).length >= 3);
    const types = client.frames.filter(isAck).map(({ type }) => type);
    expect(types).to.deep.equal([frameType.settings, frameType.settings, frameType.ping]);
    const echoed = client.frames.findLast(({ type }) => type === frameType.ping);
    expect(echoed?.payload.toString()).to.equal("abcdefgh");
  });

  it("sends no more of an answer than the stream's window has room for", async () => {
    const origin = await bench.origin(ok("x".repeat(1_000)));
    const client = await bench.http2(await bench.gateway(origin), {
      settings: [[setting.initialWindowSize, 10]],
      opensWindows: false,
    });
    const stream = client.request(requestFields("/"));
    const answer = client.answerOn(stream);
    await until("the window is used up", () => answer.body.length === 10);
    client.send(windowUpdate(stream, 20));
    await until("the next bytes came", () => answer.body.length === 30);
    client.send(settingsFrame([[setting.initialWindowSize, 5]]), windowUpdate(stream, 7));
    await until("a window that shrank is made up for", () => answer.body.length === 32);
    client.send(settingsFrame([[setting.initialWindowSize, 2_000]]));
    expect((await client.answer(stream)).body.length).to.equal(1_000);
  });

  it("sends no more of all answers than the connection's window has room for", async () => {
    const origin = await bench.origin(ok("x".repeat(40_000)));
    const client = await bench.http2(await bench.gateway(origin), { opensWindows: false });
    const streams = [client.request(requestFields("/a")), client.request(requestFields("/b"))];
    const bytes = () =>
      streams.reduce((sum, stream) => sum + client.answerOn(stream).body.length, 0);
    await until("the window is used up", () => bytes() === 65_535);
    client.send(windowUpdate(0, 14_465));
    for (const stream of streams) {
      expect((await client.answer(stream)).body.length).to.equal(40_000);
    }
  });

  it("refuses a preface that goes wrong behind its first line", async () => {
    const client = await open({ settings: null });
    client.send(Buffer.from("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"), settingsFrame());
    await client.whenClosed();
    expect(client.answers.get(1)?.status).to.equal(0);
  });

  it("refuses a preface without settings behind it", async () => {
    const client = await open({ settings: null });
    client.send(preface, headers(1));
    await client.whenClosed();
    expect(client.goaway?.code).to.equal(errorCode.protocolError);
  });
});
