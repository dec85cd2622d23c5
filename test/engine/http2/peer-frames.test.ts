/** What the gateway decides as a client of HTTP/2, about frames that peers write by hand. */
import { expect } from "chai";
import type { Target } from "../../../gateway/engine/engine.ts";
import { createHttpEngine } from "../../../gateway/engine/index.ts";
import type { GatewayOptions } from "../../support/engine.ts";
import {
  requestBytes,
  settled,
  type TestGateway,
  until,
  useTestBench,
} from "../../support/http.ts";
import {
  dataFrame,
  errorCode,
  frame,
  frameFlag,
  frameType,
  goaway,
  ping,
  rstStream,
  setting,
  settingsFrame,
  uint32,
  windowUpdate,
} from "../../support/http2/frames.ts";
import { type Field, headerBlock } from "../../support/http2/hpack.ts";
import {
  headersFrame,
  type RawPeer,
  type RawPeerConnection,
  type RawPeerScript,
  type RawRequest,
  startRawPeer,
} from "../../support/http2/raw-peer.ts";

const ok: Field = [":status", "200"];
const { headers, data, continuation, pushPromise } = frameType;

/** A whole answer on a stream. */
function fine(stream: number, body = "fine"): Buffer {
  return Buffer.concat([headersFrame(stream, [ok]), dataFrame(stream, body, true)]);
}

interface Case {
  readonly what: string;
  readonly bytes: Buffer;
  /** Of the RST_STREAM or GOAWAY with which it is answered. */
  readonly code: number;
  /** What the failed try says. */
  readonly says: RegExp;
  readonly method?: string;
}

const { protocolError, frameSizeError, flowControlError, compressionError, enhanceYourCalm } =
  errorCode;

/** They fail the one request. */
const ofStream: readonly Case[] = [
  {
    what: "no status",
    bytes: headersFrame(1, [["x-a", "b"]], true),
    code: protocolError,
    says: /no :status/,
  },
  ...["101", "099", "2000", "20", "abc", "+20", ""].map((status) => ({
    what: `the status ${JSON.stringify(status)}`,
    bytes: headersFrame(1, [[":status", status]], true),
    code: protocolError,
    says: /:status/,
  })),
  {
    what: "an interim answer that is the last",
    bytes: headersFrame(1, [[":status", "103"]], true),
    code: protocolError,
    says: /interim/,
  },
  {
    what: "a request's pseudo-field",
    bytes: headersFrame(1, [ok, [":path", "/"]], true),
    code: protocolError,
    says: /pseudo-field/,
  },
  {
    what: "a pseudo-field behind others",
    bytes: headersFrame(1, [["a", "b"], ok], true),
    code: protocolError,
    says: /no :status/,
  },
  {
    what: "Transfer-Encoding",
    bytes: headersFrame(1, [ok, ["transfer-encoding", "chunked"]]),
    code: protocolError,
    says: /transfer-encoding/,
  },
  {
    what: "a line end in a value",
    bytes: headersFrame(1, [ok, ["a", "b\r\nc: d"]], true),
    code: protocolError,
    says: /malformed field/,
  },
  {
    what: "content before its head",
    bytes: dataFrame(1, "x", true),
    code: protocolError,
    says: /before its head/,
  },
  {
    what: "content behind an interim answer",
    bytes: Buffer.concat([headersFrame(1, [[":status", "103"]]), dataFrame(1, "x", true)]),
    code: protocolError,
    says: /before its head/,
  },
  {
    what: "an end that says there is more",
    bytes: headersFrame(1, [ok, ["content-length", "3"]], true),
    code: protocolError,
    says: /less content/,
  },
  {
    what: "less than was said",
    bytes: Buffer.concat([headersFrame(1, [ok, ["content-length", "9"]]), dataFrame(1, "x", true)]),
    code: protocolError,
    says: /less content/,
  },
  {
    what: "less than was said, and a trailer",
    bytes: Buffer.concat([
      headersFrame(1, [ok, ["content-length", "9"]]),
      headersFrame(1, [["a", "b"]], true),
    ]),
    code: protocolError,
    says: /less content/,
  },
  {
    what: "more than was said",
    bytes: Buffer.concat([
      headersFrame(1, [ok, ["content-length", "1"]]),
      dataFrame(1, "xyz", true),
    ]),
    code: protocolError,
    says: /more content/,
  },
  {
    what: "content for HEAD",
    method: "HEAD",
    bytes: fine(1),
    code: protocolError,
    says: /more content/,
  },
  {
    what: "content with 204",
    bytes: Buffer.concat([headersFrame(1, [[":status", "204"]]), dataFrame(1, "x", true)]),
    code: protocolError,
    says: /more content/,
  },
  {
    what: "content with 304",
    bytes: Buffer.concat([
      headersFrame(1, [
        [":status", "304"],
        ["content-length", "1"],
      ]),
      dataFrame(1, "x", true),
    ]),
    code: protocolError,
    says: /more content/,
  },
  {
    what: "a trailer with a pseudo-field",
    bytes: Buffer.concat([headersFrame(1, [ok]), headersFrame(1, [ok], true)]),
    code: protocolError,
    says: /pseudo-field/,
  },
  {
    what: "a trailer that is not the last",
    bytes: Buffer.concat([headersFrame(1, [ok]), headersFrame(1, [["a", "b"]])]),
    code: protocolError,
    says: /second head/,
  },
  {
    what: "a head that is too large",
    bytes: headersFrame(
      1,
      [ok, ...Array.from({ length: 400 }, (_, at): Field => [`x-${at}`, "y"])],
      true,
    ),
    code: enhanceYourCalm,
    says: /too large/,
  },
  {
    what: "a window that grows by nothing",
    bytes: windowUpdate(1, 0),
    code: protocolError,
    says: /WINDOW_UPDATE/,
  },
  {
    what: "a window that overflows",
    bytes: windowUpdate(1, 0x7fffffff),
    code: flowControlError,
    says: /window/,
  },
];

/** They end the connection. */
const ofConnection: readonly Case[] = [
  {
    what: "a head on a stream that was never opened",
    bytes: headersFrame(5, [ok], true),
    code: protocolError,
    says: /never was/,
  },
  {
    what: "a head on a stream of its own",
    bytes: headersFrame(2, [ok], true),
    code: protocolError,
    says: /never was/,
  },
  {
    what: "content on a stream of its own",
    bytes: dataFrame(2, "x", true),
    code: protocolError,
    says: /never was/,
  },
  {
    what: "content on stream 0",
    bytes: dataFrame(0, "x", true),
    code: protocolError,
    says: /never was/,
  },
  {
    what: "a reset of a stream that was never opened",
    bytes: rstStream(7, 0),
    code: protocolError,
    says: /never was/,
  },
  {
    what: "a window for a stream that was never opened",
    bytes: windowUpdate(7, 1),
    code: protocolError,
    says: /never was/,
  },
  {
    what: "PUSH_PROMISE",
    bytes: frame(
      pushPromise,
      frameFlag.endHeaders,
      1,
      Buffer.concat([uint32(2), headerBlock([ok])]),
    ),
    code: protocolError,
    says: /PUSH_PROMISE/,
  },
  {
    what: "push allowed by a server",
    bytes: settingsFrame([[setting.enablePush, 1]]),
    code: protocolError,
    says: /forbidden value/,
  },
  {
    what: "a window setting that is too large",
    bytes: settingsFrame([[setting.initialWindowSize, 0x80000000]]),
    code: flowControlError,
    says: /forbidden value/,
  },
  {
    what: "frames that must be too small",
    bytes: settingsFrame([[setting.maxFrameSize, 100]]),
    code: protocolError,
    says: /forbidden value/,
  },
  {
    what: "frames that may be too large",
    bytes: settingsFrame([[setting.maxFrameSize, 0x1000000]]),
    code: protocolError,
    says: /forbidden value/,
  },
  {
    what: "SETTINGS of five bytes",
    bytes: frame(frameType.settings, 0, 0, Buffer.alloc(5)),
    code: frameSizeError,
    says: /SETTINGS/,
  },
  {
    what: "the connection's window grown by nothing",
    bytes: windowUpdate(0, 0),
    code: protocolError,
    says: /WINDOW_UPDATE/,
  },
  {
    what: "the connection's window too large",
    bytes: windowUpdate(0, 0x7fffffff),
    code: flowControlError,
    says: /window/,
  },
  {
    what: "a frame that is too large",
    bytes: frame(data, 0, 1, Buffer.alloc(16_385)),
    code: frameSizeError,
    says: /16385 bytes/,
  },
  {
    what: "a head that HPACK cannot read",
    bytes: frame(
      headers,
      frameFlag.endHeaders,
      1,
      Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]),
    ),
    code: compressionError,
    says: /HPACK/,
  },
  {
    what: "another frame within a head",
    bytes: Buffer.concat([frame(headers, 0, 1, headerBlock([ok])), dataFrame(1, "x", true)]),
    code: protocolError,
    says: /within a head/,
  },
  {
    what: "CONTINUATION of nothing",
    bytes: frame(continuation, frameFlag.endHeaders, 1, headerBlock([ok])),
    code: protocolError,
    says: /CONTINUATION/,
  },
  {
    what: "a head in endless fragments",
    bytes: Buffer.concat([
      frame(headers, 0, 1, headerBlock([ok])),
      ...Array.from({ length: 50 }, () => frame(continuation, 0, 1)),
    ]),
    code: enhanceYourCalm,
    says: /fragments/,
  },
  {
    what: "GOAWAY of three bytes",
    bytes: frame(frameType.goaway, 0, 0, Buffer.alloc(3)),
    code: frameSizeError,
    says: /GOAWAY/,
  },
  {
    what: "pings without end",
    bytes: Buffer.concat(Array.from({ length: 2_000 }, () => ping())),
    code: enhanceYourCalm,
    says: /ping/,
  },
  {
    what: "settings without end",
    bytes: Buffer.concat(Array.from({ length: 2_000 }, () => settingsFrame())),
    code: enhanceYourCalm,
    says: /settings/,
  },
  {
    what: "empty content without end",
    bytes: Buffer.concat([
      headersFrame(1, [ok]),
      ...Array.from({ length: 2_000 }, () => dataFrame(1, "", false)),
    ]),
    code: enhanceYourCalm,
    says: /empty/,
  },
];

describe("HTTP/2: what peers send", () => {
  const bench = useTestBench(createHttpEngine);
  let peer: RawPeer;

  async function start(script: RawPeerScript, options: GatewayOptions = {}, maxTries?: number) {
    const started = await startRawPeer(script, maxTries);
    peer = started;
    bench.later(() => started.close());
    return gatewayFor([started.target], options);
  }

  function gatewayFor(
    targets: readonly Target[],
    options: GatewayOptions = {},
  ): Promise<TestGateway> {
    return bench.gateway([], {
      ...options,
      hooks: {
        onPick: (exchange) => targets.find((target) => !exchange.tried(target.peer)) ?? null,
        ...options.hooks,
      },
    });
  }

  async function ask(
    gateway: TestGateway,
    init: RequestInit = {},
  ): Promise<{ status: number; body: string }> {
    const came = await fetch(`http://127.0.0.1:${gateway.port}/`, init);
    return { status: came.status, body: await came.text() };
  }

  const first = (): RawPeerConnection => {
    const [connection] = peer.connections;
    if (connection === undefined) throw new Error("no connection has come");
    return connection;
  };

  for (const [cases, isStream] of [
    [ofStream, true],
    [ofConnection, false],
  ] as const) {
    for (const { what, bytes, code, says, method = "GET" } of cases) {
      it(`ends the ${isStream ? "stream alone" : "connection"}: ${what}`, async () => {
        const gateway = await start({ onRequest: (connection) => connection.send(bytes) }, {}, 1);
        const client = await bench.client(gateway);
        client.send(requestBytes(`${method} /`));
        await until("the request is over", () => gateway.ended.length === 1 || client.closed);
        const { failures, status, errorCode: ended } = await gateway.outcome();
        // Cut off where the answer had begun.
        expect([502, 200, 304, 204]).to.include(status);
        if (failures.length > 0) {
          expect(failures[0]?.message).to.match(says);
          expect(failures[0]?.message).to.include(peer.target.peer.key);
          expect(failures[0]?.code).to.equal(isStream ? "bad_response" : "reset");
        } else {
          expect(ended).to.match(/bad_response|truncated/);
        }
        if (!isStream) {
          expect(await first().goaway()).to.equal(code);
          await until(
            "the connection is closed",
            () => gateway.engine.stats().peerConnections === 0,
          );
          return;
        }
        expect(await first().reset(1)).to.equal(code);
        expect(first().framesOf(frameType.goaway)).to.have.length(0);
        // What was on its way does not matter any more.
        first().send(headersFrame(1, [ok]), dataFrame(1, "late", true), rstStream(1, 0));
        expect(first().closed).to.equal(false);
      });
    }
  }

  it("must begin with SETTINGS", async () => {
    const gateway = await start(
      { onOpen: () => {}, onRequest: (connection) => connection.send(fine(1)) },
      {},
      1,
    );
    expect((await ask(gateway)).status).to.equal(502);
    const { failures } = await gateway.outcome();
    expect(failures[0]?.message).to.match(/does not speak HTTP\/2/);
    expect(await first().goaway()).to.equal(protocolError);
  });

  it("is asked one request until its settings have come, and never more than they allow", async () => {
    let most = 0;
    const open = new Set<number>();
    const gateway = await start(
      {
        onOpen: () => {},
        onRequest: (connection, { stream }) => {
          open.add(stream);
          most = Math.max(most, open.size);
          if (connection.requests.length === 1) return;
          setImmediate(() => {
            open.delete(stream);
            connection.send(fine(stream));
          });
        },
      },
      { limits: { maxConnectionsPerPeer: 1 } },
    );
    const answers = Array.from({ length: 30 }, () => ask(gateway, { method: "POST", body: "x" }));
    await until("the first is there", () => peer.connections[0]?.requests.length === 1);
    await settled(() => gateway.engine.stats().exchanges);
    expect(first().requests).to.have.length(1);
    first().send(settingsFrame([[setting.maxConcurrentStreams, 3]]));
    await until("more are there", () => first().requests.length > 2);
    open.delete(1);
    first().send(fine(1));
    const statuses = (await Promise.all(answers)).map(({ status }) => status);
    expect(statuses).to.deep.equal(new Array(30).fill(200));
    expect(most).to.equal(3);
    expect(peer.connections).to.have.length(1);
  });

  it("fails all requests that wait for it when its settings never come", async () => {
    const gateway = await start({ onOpen: () => {} }, { limits: { connectTimeoutMs: 300 } }, 1);
    const answers = await Promise.all(Array.from({ length: 5 }, () => ask(gateway)));
    // The request that the connection had taken, and those that waited; how many came in time does not matter.
    for (const { status } of answers) expect(status).to.be.oneOf([502, 504]);
    const failures = gateway.ended.flatMap((ended) => ended.failures);
    expect(failures.length).to.be.greaterThan(0);
    for (const { message } of failures) expect(message).to.match(/no SETTINGS frame in time/);
  });

  it("may allow fewer requests, and none, while some run", async () => {
    const gateway = await start({}, { limits: { maxConnectionsPerPeer: 1 } });
    let answered = 0;
    const count = async () => {
      const answer = await ask(gateway);
      answered += 1;
      return answer;
    };
    const asked = [count(), count(), count()];
    await until("three are there", () => peer.connections[0]?.requests.length === 3);
    const connection = first();
    connection.send(settingsFrame([[setting.maxConcurrentStreams, 1]]));
    await until("it is acknowledged", () => acknowledged(connection) === 2);
    asked.push(count(), count());
    connection.send(fine(1), fine(3));
    await until("two are answered", () => answered === 2);
    expect(connection.requests).to.have.length(3);
    connection.send(settingsFrame([[setting.maxConcurrentStreams, 0]]), fine(5));
    await until("the third is answered", () => answered === 3);
    await settled(() => connection.requests.length);
    expect(connection.requests).to.have.length(3);
    connection.send(settingsFrame([[setting.maxConcurrentStreams, 1]]));
    await until("the fourth is there", () => connection.requests.length === 4);
    connection.send(fine(7));
    await until("the fifth is there", () => connection.requests.length === 5);
    connection.send(fine(9));
    expect((await Promise.all(asked)).map(({ status }) => status)).to.deep.equal(
      new Array(5).fill(200),
    );
    expect(peer.connections).to.have.length(1);
  });

  it("may make its windows smaller while a body is sent, and gets no byte too much", async () => {
    const gateway = await start({
      onOpen: (connection) => connection.send(settingsFrame([[setting.initialWindowSize, 1_000]])),
      onRequest: (connection, { stream }) => {
        if (stream === 1) connection.send(fine(stream));
      },
    });
    // Its settings are known from now on.
    await ask(gateway);
    const stream = 3;
    const asked = ask(gateway, { method: "POST", body: "x".repeat(5_000) });
    await until("its window is used up", () => first().received(stream) === 1_000);
    // Now 900 bytes below nothing.
    first().send(settingsFrame([[setting.initialWindowSize, 100]]));
    await until("it is acknowledged", () => acknowledged(first()) === 2);
    first().send(windowUpdate(stream, 900));
    await settled(() => first().received(stream));
    expect(first().received(stream)).to.equal(1_000);
    first().send(windowUpdate(stream, 1));
    await until("one byte more came", () => first().received(stream) === 1_001);
    first().send(settingsFrame([[setting.initialWindowSize, 4_099]]));
    await until("all of it came", () => first().received(stream) === 5_000);
    first().send(fine(stream));
    expect((await asked).status).to.equal(200);
  });

  it("may take back part of the requests, which are sent again whatever their method", async () => {
    let isFirst = true;
    const gateway = await start({
      onRequest: (connection, { stream }: RawRequest) => {
        if (!isFirst) {
          connection.send(fine(stream, "again"));
        } else if (connection.requests.length === 3) {
          isFirst = false;
          connection.send(goaway(1, errorCode.noError), fine(1, "kept"));
        }
      },
    });
    const answers = await Promise.all(
      Array.from({ length: 3 }, () => ask(gateway, { method: "POST", body: "x" })),
    );
    expect(answers.map(({ body }) => body).sort()).to.deep.equal(["again", "again", "kept"]);
    expect(peer.connections).to.have.length(2);
  });

  it("that break the connection by one answer harm no other request that may be sent again", async () => {
    let isBroken = false;
    const gateway = await start({
      onRequest: (connection, { stream }) => {
        if (isBroken) connection.send(fine(stream, "well"));
        else if (connection.requests.length === 4) {
          isBroken = true;
          connection.send(frame(headers, frameFlag.endHeaders, 1, Buffer.from([0x80])));
        }
      },
    });
    const answers = await Promise.all(Array.from({ length: 4 }, () => ask(gateway)));
    expect(answers.map(({ status }) => status)).to.include(200);
    expect(answers.filter(({ body }) => body === "well").length).to.be.at.least(3);
  });

  it("may end an answer by a reset without an error, but not half of one", async () => {
    const gateway = await start({
      onRequest: (connection, { stream }) => {
        const length: readonly Field[] = stream === 1 ? [] : [["content-length", "100"]];
        connection.send(
          headersFrame(stream, [ok, ...length]),
          dataFrame(stream, "half", false),
          rstStream(stream, stream === 5 ? errorCode.internalError : errorCode.noError),
        );
      },
    });
    expect(await ask(gateway)).to.deep.equal({ status: 200, body: "half" });
    for (let at = 1; at < 3; at += 1) {
      const error = await ask(gateway).catch((caught: unknown) => caught);
      expect(error).to.be.instanceOf(Error);
      expect((await gateway.outcomeOf(at)).errorCode).to.equal("truncated");
    }
  });

  it("may ping for each piece that it gets, as libraries of gRPC do", async () => {
    let pings = 0;
    const gateway = await start({
      onFrame: (connection, { type, stream, payload, flags }) => {
        if (type !== data) return;
        pings += 1;
        connection.send(ping(), windowUpdate(0, Math.max(1, payload.length)));
        if ((flags & frameFlag.endStream) !== 0) connection.send(fine(stream));
      },
    });
    for (let round = 0; round < 80; round += 1) {
      const answers = await Promise.all(
        Array.from({ length: 10 }, () => ask(gateway, { method: "POST", body: "message" })),
      );
      expect(answers.map(({ status }) => status)).to.deep.equal(new Array(10).fill(200));
    }
    expect(pings).to.be.at.least(800);
    await until("all are answered", () => first().framesOf(frameType.ping).length === pings);
    expect(peer.connections).to.have.length(1);
  });

  it("may reset what the gateway has just reset, as often as it likes", async () => {
    const gateway = await start({
      onRequest: (connection, { stream }) => {
        // The answer comes before the request's end; then the rest is not wanted.
        connection.send(
          headersFrame(stream, [ok]),
          dataFrame(stream, "x", true),
          dataFrame(stream, "", true),
          rstStream(stream, errorCode.noError),
        );
      },
    });
    for (let round = 0; round < 150; round += 1) {
      const answers = await Promise.all(
        Array.from({ length: 10 }, () => ask(gateway, { method: "POST", body: "y".repeat(100) })),
      );
      expect(answers.map(({ status }) => status)).to.deep.equal(new Array(10).fill(200));
    }
    expect(peer.connections).to.have.length(1);
  });

  it("may send an interim answer, a body in padded pieces and a trailer, however they are cut", async () => {
    const padded = frame(
      data,
      frameFlag.padded,
      1,
      Buffer.concat([Buffer.from([5]), Buffer.from("two"), Buffer.alloc(5)]),
    );
    const answer = Buffer.concat([
      headersFrame(1, [
        [":status", "103"],
        ["link", "</a>"],
      ]),
      headersFrame(1, [ok, ["content-length", "6"]]),
      dataFrame(1, "one", false),
      padded,
      headersFrame(1, [["x-sum", "6"]], true),
    ]);
    for (const size of [1, 7, answer.length]) {
      const gateway = await start({
        onRequest: async ({ socket }) => {
          for (let at = 0; at < answer.length; at += size) {
            socket.write(answer.subarray(at, at + size));
            await new Promise((resolve) => setImmediate(resolve));
          }
        },
      });
      const client = await bench.client(gateway);
      client.send(requestBytes("GET /", ["Host: a.example"]));
      expect((await client.answer()).startLine).to.match(/ 103 /);
      expect((await client.answer()).body.toString()).to.equal("onetwo");
    }
  });
});

/** How many of the peer's settings the gateway has acknowledged. */
function acknowledged(connection: RawPeerConnection): number {
  return connection.framesOf(frameType.settings).filter(({ flags }) => flags === frameFlag.ack)
    .length;
}
