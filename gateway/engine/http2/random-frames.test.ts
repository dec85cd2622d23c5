/**
 * Clients that send whatever comes to their minds, in pieces of any size, to a server that answers as it likes: nothing
 * throws or hangs, each stream ends once, the windows are kept, and in the end the connection serves or is over.
 */
import { type Duplex, duplexPair } from "node:stream";
import { expect } from "chai";
import { until } from "../../../test/support/conditions.ts";
import { fromEnvironment, seedOf } from "../../../test/support/effort.ts";
import {
  dataFrame,
  type Frame,
  frame,
  frameFlag,
  frameType,
  goaway,
  ping,
  preface,
  rstStream,
  setting,
  settingsFrame,
  FrameReader as TestReader,
  uint32,
  windowUpdate,
} from "../../../test/support/http2/frames.ts";
import { type Field, HpackDecoder, headerBlock } from "../../../test/support/http2/hpack.ts";
import { pick } from "../../../test/support/mutation.ts";
import { seeded } from "../../../test/support/random.ts";
import { Clock } from "../clock.ts";
import { type BreakCause, type ConnectionOwner, Http2Connection } from "./connection.ts";
import type { Http2Stream, StreamOwner } from "./stream.ts";
import { WriteTurn } from "./write-turn.ts";

const walks = fromEnvironment("FUZZ_WALKS", 300);
const steps = 60;
const window = 65_535;

type Random = () => number;

/** A request, which is answered step by step. */
class Served implements StreamOwner {
  readonly stream: Http2Stream;
  ends = 0;
  closes = 0;
  #isHeld = false;

  constructor(stream: Http2Stream) {
    this.stream = stream;
  }

  onHead(): void {
    throw new Error("a server gets no answers");
  }

  onData(_buffer: Buffer, from: number, to: number): void {
    expect([this.ends, this.closes], "no content behind the end").to.deep.equal([0, 0]);
    expect(to).to.be.greaterThan(from);
  }

  onEnd(): void {
    this.ends += 1;
    expect([this.ends, this.closes], "one end").to.deep.equal([1, 0]);
  }

  onDrain(): void {
    expect(this.closes, "no call behind the stream").to.equal(0);
  }

  onClosed(): void {
    this.closes += 1;
    expect(this.closes, "one close").to.equal(1);
  }

  step(random: Random): void {
    const { stream } = this;
    const what = random();
    if (!stream.hasSentHead && what < 0.2)
      stream.sendHead([":status", "103", "link", "<a>"], false, true);
    else if (!stream.hasSentHead) {
      stream.sendHead([":status", "200", "x-random", String(random())], what < 0.3);
    } else if (what < 0.5)
      stream.sendData(Buffer.alloc(1 + Math.floor(random() ** 3 * 90_000), "x"));
    else if (what < 0.6) stream.sendText("y".repeat(Math.floor(random() ** 2 * 20_000)));
    else if (what < 0.7) stream.sendEnd(random() < 0.5 ? null : ["grpc-status", "0"]);
    else if (what < 0.75) stream.reset(2);
    else if (what < 0.8) stream.resetAfterContent(2);
    else if (what < 0.85) stream.stopReading();
    else if (this.#isHeld) {
      this.#isHeld = false;
      stream.release();
    } else {
      this.#isHeld = true;
      stream.hold();
    }
  }
}

class Server implements ConnectionOwner {
  readonly served: Served[] = [];
  broken: BreakCause | null = null;
  isClosed = false;

  onRequest(stream: Http2Stream): void {
    const served = new Served(stream);
    stream.owner = served;
    this.served.push(served);
  }

  onSettings(): void {}
  onGoaway(): void {}
  onPong(): void {}

  onBroken(cause: BreakCause): void {
    expect(this.broken).to.equal(null);
    this.broken = cause;
  }

  onClose(): void {
    expect(this.isClosed).to.equal(false);
    this.isClosed = true;
  }
}

/** Reads what the server sends, and throws at what it must not send. */
class Client {
  readonly socket: Duplex;
  readonly frames: Frame[] = [];
  isOver = false;
  nextStream = 1;
  /** How much the server may send, at most, on the connection and on each stream. */
  readonly #rooms = new Map<number, number>([[0, window]]);
  readonly #over = new Set<number>();
  readonly #reader = new TestReader();
  readonly #decoder = new HpackDecoder();
  #block: Buffer[] | null = null;
  #initial = window;

  constructor(socket: Duplex) {
    this.socket = socket;
    socket.on("data", (bytes: Buffer) => {
      this.#reader.push(bytes);
      for (let next = this.#reader.next(); next !== null; next = this.#reader.next())
        this.#take(next);
    });
    socket.on("end", () => {
      this.isOver = true;
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.isOver = true;
    });
  }

  /** Notes what the server is about to be allowed. */
  allow(stream: number, bytes: number): void {
    this.#rooms.set(stream, (this.#rooms.get(stream) ?? this.#initial) + bytes);
  }

  setInitial(bytes: number): void {
    const more = Math.max(0, bytes - this.#initial);
    this.#initial += more;
    for (const [stream, room] of this.#rooms)
      if (stream !== 0) this.#rooms.set(stream, room + more);
  }

  #take(taken: Frame): void {
    this.frames.push(taken);
    const { type, flags, stream, payload } = taken;
    expect(payload.length).to.be.at.most(16_384);
    if (this.#block !== null) expect(type).to.equal(frameType.continuation);
    switch (type) {
      case frameType.data: {
        expect(this.#over.has(stream), "no content behind a stream's end").to.equal(false);
        this.allow(0, -payload.length);
        this.allow(stream, -payload.length);
        expect(this.#rooms.get(0)).to.be.at.least(0);
        expect(this.#rooms.get(stream)).to.be.at.least(0);
        break;
      }
      case frameType.headers:
        expect(this.#over.has(stream), "no head behind a stream's end").to.equal(false);
        this.#block = [payload];
        break;
      case frameType.continuation:
        this.#block?.push(payload);
        break;
    }
    const endsBlock = type === frameType.headers || type === frameType.continuation;
    if (endsBlock && (flags & frameFlag.endHeaders) !== 0) {
      expect(this.#decoder.decode(Buffer.concat(this.#block ?? []))).to.not.have.length(0);
      this.#block = null;
    }
    const isEnd =
      (type === frameType.data || type === frameType.headers) &&
      (flags & frameFlag.endStream) !== 0;
    if (isEnd || type === frameType.rstStream) this.#over.add(stream);
  }
}

/** Bytes that a client might send next. `mayBreak`: also such as end a connection. */
function something(random: Random, client: Client, mayBreak: boolean): Buffer {
  const what = random();
  const number = (most: number) => Math.floor(random() * most);
  const isLast = random() < 0.5;
  const old = 1 + 2 * number(Math.max(1, (client.nextStream - 1) / 2));
  if (what < 0.35) {
    const stream = client.nextStream;
    client.nextStream += 2;
    const more: Field[] = Array.from({ length: number(4) }, (_, n) => [
      pick(random, [`x-${n}`, "cookie", "X-Bad", "te", "content-length", ":path", "connection"]),
      pick(random, ["trailers", "5", "0", "a\r\nb", "x".repeat(number(300))]),
    ]);
    const fields: Field[] = [
      [":method", isLast ? "GET" : "POST"],
      [":scheme", "http"],
      [":path", `/${number(9)}`],
      [":authority", "a.example"],
      ...(random() < 0.3 ? more : []),
    ];
    const block = headerBlock(fields);
    const end = isLast ? frameFlag.endStream : 0;
    if (random() < 0.8) return frame(frameType.headers, frameFlag.endHeaders | end, stream, block);
    const at = number(block.length);
    return Buffer.concat([
      frame(frameType.headers, end, stream, block.subarray(0, at)),
      frame(frameType.continuation, frameFlag.endHeaders, stream, block.subarray(at)),
    ]);
  }
  if (what < 0.6) return ping();
  if (what < 0.7) {
    const bytes = 1 + number(100_000);
    client.allow(0, bytes);
    return windowUpdate(0, bytes);
  }
  if (what < 0.75) return frame(frameType.priority, 0, 9, Buffer.from([0, 0, 0, 1, 7]));
  if (what < 0.8) return frame(0x77, number(256), number(9), Buffer.alloc(number(40)));
  if (what < 0.83) {
    const bytes = number(200_000);
    client.setInitial(bytes);
    return settingsFrame([
      [setting.initialWindowSize, bytes],
      [setting.headerTableSize, number(5_000)],
    ]);
  }
  if (!mayBreak || what < 0.84) return frame(frameType.ping, frameFlag.ack, 0, Buffer.alloc(8));
  // From here on, a stream that is over may make it an error of the connection.
  if (what < 0.9) return dataFrame(old, Buffer.alloc(number(16_384)), isLast);
  if (what < 0.92) return rstStream(old, number(12));
  if (what < 0.94) {
    const bytes = number(100_000);
    client.allow(old, bytes);
    return windowUpdate(old, bytes);
  }
  if (what < 0.95) {
    const end = frameFlag.endHeaders | frameFlag.endStream;
    return frame(frameType.headers, end, old, headerBlock([["x-trailer", "1"]]));
  }
  if (what < 0.96) return goaway(number(9), number(3));
  const bytes = Buffer.from(Array.from({ length: number(60) }, () => number(256)));
  if (what < 0.98) return bytes;
  return frame(number(12), number(256), number(9), Buffer.concat([uint32(number(9)), bytes]));
}

const turnEnd = () => new Promise((resolve) => setImmediate(resolve));

async function walk(seed: number, mayBreak: boolean): Promise<BreakCause | null> {
  const random = seeded(seed);
  const [far, near] = duplexPair();
  const server = new Server();
  const connection = new Http2Connection(near, server, {
    role: "server",
    clock: new Clock(() => 0),
    turn: new WriteTurn(),
    maxStreams: 100,
    streamWindowBytes: window,
    connectionWindowBytes: 200_000,
    withholds: random() < 0.5,
    maxListBytes: 20_000,
    maxFields: 100,
    isEncrypted: random() < 0.5,
  });
  const client = new Client(far);
  connection.start(Buffer.alloc(0));
  let pending = Buffer.concat([preface, settingsFrame()]);
  for (let step = 0; step < steps && !client.isOver; step += 1) {
    pending = Buffer.concat([pending, something(random, client, mayBreak)]);
    const length = random() < 0.5 ? pending.length : Math.floor(random() * pending.length);
    far.write(pending.subarray(0, length));
    pending = pending.subarray(length);
    await turnEnd();
    const live = server.served.filter(({ stream }) => !stream.isClosed);
    if (live.length > 0) pick(random, live).step(random);
    if (random() < 0.05) connection.announceEnd();
  }
  if (!client.isOver) {
    const ack = Buffer.from("the last");
    far.write(Buffer.concat([pending, ping(ack)]));
    // Half a frame or half a head may be what came last; then nothing more can be told apart.
    const isAnswered = () =>
      client.frames.some(({ type, payload }) => type === frameType.ping && payload.equals(ack));
    if (!mayBreak)
      await until("it serves, or has ended as announced", () => isAnswered() || client.isOver);
    for (let turn = 0; turn < 5; turn += 1) await turnEnd();
  }
  far.destroy();
  near.destroy();
  await until("the server was told", () => server.isClosed);
  if (!mayBreak) expect(server.broken).to.equal(null);
  expect(connection.size).to.equal(0);
  for (const { closes } of server.served) expect(closes, "each stream is over").to.equal(1);
  return server.broken;
}

describe("connections of HTTP/2", () => {
  for (const [what, mayBreak] of [
    ["stay in order whatever valid frames come, and go on serving", false],
    ["stay in order whatever comes at all", true],
  ] as const) {
    it(what, async function () {
      this.timeout(120_000);
      const first = seedOf();
      const causes = new Set<BreakCause | null>();
      for (let n = 0; n < walks; n += 1) {
        const seed = first + n;
        try {
          causes.add(await walk(seed, mayBreak));
        } catch (error) {
          throw new Error(`with the seed ${seed}: ${(error as Error).message}`, { cause: error });
        }
      }
      expect([...causes]).to.include(null);
      if (mayBreak) expect([...causes]).to.include("protocol");
    });
  }
});
