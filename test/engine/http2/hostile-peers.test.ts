/** Peers that break HTTP/2's rules, with frames that are written by hand: the try fails, and nothing else does. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { expect } from "chai";
import { Clock } from "../../../gateway/engine/clock.ts";
import { defaultLimits, Peer, Target } from "../../../gateway/engine/engine.ts";
import { WriteTurn } from "../../../gateway/engine/http2/write-turn.ts";
import {
  PeerSession,
  type SessionOwner,
} from "../../../gateway/engine/upstream/http2/peer-session.ts";
import { PeerTlsRoom } from "../../../gateway/engine/upstream/peer-tls.ts";
import { expectIdle, startGateway, type TestGateway } from "../../support/engine.ts";
import { until } from "../../support/http.ts";
import {
  dataFrame,
  errorCode,
  frame,
  frameFlag,
  frameType,
  rstStream,
  setting,
  settingsFrame,
  uint32,
  windowUpdate,
} from "../../support/http2/frames.ts";
import { type Field, headerBlock } from "../../support/http2/hpack.ts";
import { RawPeerConnection } from "../../support/http2/raw-peer.ts";
import { seeded } from "../../support/random.ts";

const { endHeaders, endStream } = frameFlag;

function answer(stream: number, fields: readonly Field[], flags = 0): Buffer {
  return frame(frameType.headers, endHeaders | flags, stream, headerBlock(fields));
}

const ok: Field = [":status", "200"];
const whole = Buffer.concat([answer(1, [ok]), dataFrame(1, "fine", true)]);

/** What the peer sends when the request on stream 1 is there. */
const hostile: readonly (readonly [what: string, bytes: Buffer])[] = [
  ["an answer without a status", answer(1, [["x-a", "b"]], endStream)],
  ["a status that is no number", answer(1, [[":status", "abc"]], endStream)],
  ["a status of four digits", answer(1, [[":status", "2000"]], endStream)],
  ["101", answer(1, [[":status", "101"]])],
  ["two statuses", answer(1, [ok, ok], endStream)],
  ["a request's pseudo-field", answer(1, [ok, [":path", "/"]], endStream)],
  ["a connection's field", answer(1, [ok, ["connection", "close"]], endStream)],
  ["a name in upper case", answer(1, [ok, ["X-Upper", "b"]], endStream)],
  [
    "less than was announced",
    Buffer.concat([answer(1, [ok, ["content-length", "9"]]), dataFrame(1, "x", true)]),
  ],
  [
    "more than was announced",
    Buffer.concat([answer(1, [ok, ["content-length", "1"]]), dataFrame(1, "xyz", true)]),
  ],
  ["a length that is no number", answer(1, [ok, ["content-length", "x"]], endStream)],
  ["two lengths", answer(1, [ok, ["content-length", "1"], ["content-length", "2"]])],
  ["a head that is too large", answer(1, [ok, ["x-large", "x".repeat(40_000)]], endStream)],
  [
    "too many fields",
    answer(1, [ok, ...Array.from({ length: 400 }, (_, at): Field => [`x-${at}`, "y"])], endStream),
  ],
  ["a body before its head", dataFrame(1, "x", true)],
  ["DATA on an idle stream", dataFrame(5, "x", true)],
  [
    "a request of its own",
    frame(frameType.pushPromise, endHeaders, 1, Buffer.concat([uint32(2), headerBlock([ok])])),
  ],
  ["a head on a stream of its own", answer(2, [ok], endStream)],
  ["a window that overflows", windowUpdate(1, 0x7fffffff)],
  ["no window at all", settingsFrame([[setting.initialWindowSize, 0xffffffff]])],
  ["a frame that is too large", frame(frameType.data, 0, 1, Buffer.alloc(20_000))],
  [
    "a head that never ends",
    Buffer.concat([frame(frameType.headers, 0, 1, headerBlock([ok])), dataFrame(1, "x", true)]),
  ],
  ["a reset", rstStream(1, errorCode.internalError)],
  ["a reset in peace", rstStream(1, errorCode.noError)],
  [
    "GOAWAY with an error",
    frame(frameType.goaway, 0, 0, Buffer.concat([uint32(1), uint32(errorCode.internalError)])),
  ],
  ["HTTP/1.1", Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")],
  ["zeros", Buffer.alloc(4_096)],
];

describe("HTTP/2: peers that break the rules", () => {
  let server: Server;
  let sockets: Socket[];
  let script: (socket: Socket) => void;
  let target: Target;
  let gateway: TestGateway;

  beforeEach(async () => {
    sockets = [];
    server = createServer((socket) => {
      sockets.push(socket);
      socket.on("error", () => {});
      socket.on("close", () => sockets.splice(sockets.indexOf(socket), 1));
      script(socket);
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as AddressInfo;
    target = new Target(new Peer("127.0.0.1", port), { protocol: "h2c", maxTries: 1 });
    gateway = await startGateway({
      limits: { responseTimeoutMs: 200, bodyTimeoutMs: 200 },
      hooks: { onPick: (exchange) => (exchange.tried(target.peer) ? null : target) },
    });
  });

  afterEach(async () => {
    await gateway.engine.drain(2_000);
    await expectIdle(gateway.engine);
    for (const socket of sockets) socket.destroy();
    server.close();
  });

  /** Sends its settings at once, and these bytes as soon as a head came. */
  const answering = (bytes: Buffer) => (socket: Socket) => {
    socket.write(settingsFrame());
    let isDone = false;
    socket.on("data", (came: Buffer) => {
      // The type of a frame: a request's head comes in one, in a write that may have others before it.
      if (isDone || !hasHead(came)) return;
      isDone = true;
      socket.write(bytes);
    });
  };

  async function ask(): Promise<{ status: number; body: string } | null> {
    try {
      const came = await fetch(`http://127.0.0.1:${gateway.port}/`);
      return { status: came.status, body: await came.text() };
    } catch {
      return null;
    }
  }

  it("fail the one request, and the next one is served", async () => {
    for (const [what, bytes] of hostile) {
      script = answering(bytes);
      const came = await ask();
      // Cut off, or told that it failed; never a whole answer.
      expect(came?.status ?? 502, what).to.be.oneOf([502, 503, 504]);
      for (const socket of sockets) socket.destroy();
      await until("its connections are closed", () => gateway.engine.stats().peerConnections === 0);
      script = answering(whole);
      expect(await ask(), `after ${what}`).to.deep.equal({ status: 200, body: "fine" });
      for (const socket of sockets) socket.destroy();
      await until("its connections are closed", () => gateway.engine.stats().peerConnections === 0);
    }
  });

  it("may send anything else", async () => {
    const random = seeded(20_261);
    for (let round = 0; round < 40; round += 1) {
      const bytes = Buffer.from(whole);
      const changes = 1 + Math.floor(random() * 4);
      for (let change = 0; change < changes; change += 1) {
        bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
      }
      script = answering(bytes.subarray(0, 1 + Math.floor(random() * bytes.length)));
      const asked = ask();
      await until("it is over, or hangs", () => gateway.ended.length > round);
      await asked;
      for (const socket of sockets) socket.destroy();
      await until("its connections are closed", () => gateway.engine.stats().peerConnections === 0);
    }
  });

  it("are asked whether they are there when they say nothing, and given up when they do not answer", async () => {
    let answersPings = true;
    let pings = 0;
    script = (socket) => {
      new RawPeerConnection(socket).start(
        ({ type, payload }) => {
          if (type !== frameType.ping) return;
          pings += 1;
          if (answersPings) socket.write(frame(frameType.ping, frameFlag.ack, 0, payload));
        },
        () => {},
      );
      socket.write(settingsFrame());
    };
    let now = 1_000;
    const clock = new Clock(() => now);
    const told: string[] = [];
    const owner: SessionOwner = {
      onConnected: () => told.push("connected"),
      onConnectFailed: () => told.push("failed"),
      onReady: () => told.push("ready"),
      onRoom: () => told.push("room"),
      onEnding: () => told.push("ending"),
      onClosed: () => told.push("closed"),
    };
    const tls = new PeerTlsRoom({ authorities: () => null, pair: () => null });
    const host = {
      clock,
      limits: defaultLimits,
      forbids: () => null,
      tls,
      turn: new WriteTurn(),
      add() {},
      remove() {},
    };
    const session = new PeerSession(host, target.peer, null, owner, 1_000);
    await until("it is ready", () => told.includes("ready"));
    session.streams = 1;
    session.onHeard();
    const tick = (ms: number) => {
      now += ms;
      session.onTick(clock.tick());
    };
    tick(9_000);
    expect(pings).to.equal(0);
    tick(1_000);
    await until("it is asked", () => pings === 1);
    // The answer came when the deadline passes without effect.
    await until("the answer came", () => {
      tick(0);
      return session.isAwaited === false;
    });
    tick(6_000);
    expect(told).to.deep.equal(["connected", "ready"]);
    answersPings = false;
    tick(10_000);
    await until("it is asked again", () => pings === 2);
    tick(4_999);
    expect(told).to.deep.equal(["connected", "ready"]);
    tick(1);
    await until("it is given up", () => told.includes("closed"));
    expect(session.why).to.match(/did not answer a ping/);
  });
});

/** Whether a HEADERS frame is among these whole frames, which a client's preface may come before. */
function hasHead(bytes: Buffer): boolean {
  let at = bytes.toString("latin1", 0, 3) === "PRI" ? 24 : 0;
  for (; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
    if (bytes[at + 3] === frameType.headers) return true;
  }
  return false;
}
