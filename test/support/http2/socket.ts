/**
 * A socket that speaks HTTP/1.1 to a test and HTTP/2 to the gateway, so that one suite runs over both. Each request
 * becomes a stream; answers come back in the order of the requests, with the framing that HTTP/1.1 has for them. A stream
 * that is reset in its answer is a connection that is reset: the test sees that the answer is not whole.
 */
import { Duplex } from "node:stream";
import { type openClient, RawClient } from "../client.ts";
import { type Http2Answer, type Http2Connection, openHttp2 } from "./connection.ts";
import { dataFrame, frame, frameFlag, frameType } from "./frames.ts";
import { type Field, headerBlock } from "./hpack.ts";
import { RequestSplitter } from "./request-pieces.ts";

const maxFrameBytes = 16_384;

/** An answer on its way to the test. */
interface Expected {
  readonly stream: number;
  readonly method: string;
  readonly answer: Http2Answer;
  /** 1xx that were shown. */
  interim: number;
  framing: "none" | "length" | "chunked" | null;
  /** Body bytes still to come, when the answer names its length. */
  left: number;
}

/** A piece of a request's body, or its end, that waits for room. */
interface Outgoing {
  readonly stream: number;
  bytes: Buffer;
  /** `null`: more follows. */
  readonly trailers: readonly Field[] | null;
}

export class Http2Socket extends Duplex {
  readonly connection: Http2Connection;
  readonly #splitter: RequestSplitter;
  readonly #expected: Expected[] = [];
  readonly #outgoing: Outgoing[] = [];
  /** Of the write that is under way. */
  #written: (() => void) | null = null;
  #stream = 0;
  #taken = 0;

  constructor(connection: Http2Connection) {
    super({ allowHalfOpen: true });
    this.connection = connection;
    this.#splitter = new RequestSplitter({
      onHead: (fields, isLast) => this.#begin(fields, isLast),
      onData: (bytes) => this.#outgoing.push({ stream: this.#stream, bytes, trailers: null }),
      onEnd: (trailers) =>
        this.#outgoing.push({ stream: this.#stream, bytes: Buffer.alloc(0), trailers }),
    });
    connection.onFrame = () => this.#onFrame();
    const { socket } = connection;
    socket.on("drain", () => this.#sendOutgoing());
    socket.on("end", () => this.push(null));
    socket.on("close", () => this.destroy());
  }

  /** As of a socket: what was given to it, whether or not it has gone out. */
  get bytesWritten(): number {
    return this.#taken + this.writableLength;
  }

  resetAndDestroy(): void {
    this.connection.reset();
    this.destroy();
  }

  override _write(bytes: Buffer, _encoding: string, done: (error?: Error) => void): void {
    try {
      this.#splitter.push(bytes);
    } catch (error) {
      done(error as Error);
      return;
    }
    this.#written = () => {
      this.#taken += bytes.length;
      done();
    };
    this.#sendOutgoing();
  }

  override _final(done: () => void): void {
    this.connection.socket.end(done);
  }

  override _read(): void {
    this.connection.socket.resume();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.connection.close();
    done(error);
  }

  #begin(fields: readonly Field[], isLast: boolean): void {
    this.#stream = this.connection.request(fields, { isLast });
    this.#expected.push({
      stream: this.#stream,
      method: fields[0]?.[1] ?? "",
      answer: this.connection.answerOn(this.#stream),
      interim: 0,
      framing: null,
      left: 0,
    });
  }

  #onFrame(): void {
    if (this.connection.violation !== null) this.destroy(this.connection.violation);
    this.#sendOutgoing();
    this.#showAnswers();
  }

  /** Sends what the windows and the socket have room for. */
  #sendOutgoing(): void {
    const { connection } = this;
    while (!connection.socket.writableNeedDrain) {
      const [first] = this.#outgoing;
      if (first === undefined) break;
      // The gateway wants no more of this request.
      const isUnwanted = connection.answerOn(first.stream).isOver;
      if (!isUnwanted && !this.#sendPiece(first)) return;
      this.#outgoing.shift();
    }
    if (this.#outgoing.length > 0) return;
    const written = this.#written;
    this.#written = null;
    written?.();
  }

  /** False: there is no room for all of it. */
  #sendPiece(piece: Outgoing): boolean {
    const { connection } = this;
    while (piece.bytes.length > 0) {
      const length = connection.room.take(
        piece.stream,
        Math.min(maxFrameBytes, piece.bytes.length),
      );
      if (length === 0) return false;
      connection.send(dataFrame(piece.stream, piece.bytes.subarray(0, length), false));
      piece.bytes = piece.bytes.subarray(length);
    }
    if (piece.trailers === null) return true;
    if (piece.trailers.length === 0) {
      connection.send(dataFrame(piece.stream, "", true));
    } else {
      const flags = frameFlag.endHeaders | frameFlag.endStream;
      connection.send(frame(frameType.headers, flags, piece.stream, headerBlock(piece.trailers)));
    }
    return true;
  }

  /** Shows the test what has come for the request whose turn it is, and for those behind it. */
  #showAnswers(): void {
    for (let first = this.#expected[0]; first !== undefined; first = this.#expected[0]) {
      this.#showHeads(first);
      this.#showBody(first);
      const { answer, stream } = first;
      if (answer.ended) {
        this.#showEnd(first);
        this.#expected.shift();
      } else if (answer.resetCode !== null) {
        this.destroy(new Error(`stream ${stream} was reset with code ${answer.resetCode}`));
        return;
      } else {
        return;
      }
    }
  }

  #showHeads(expected: Expected): void {
    const { answer } = expected;
    for (const fields of answer.interim.slice(expected.interim)) this.#show(headText(fields, ""));
    expected.interim = answer.interim.length;
    if (answer.fields === null || expected.framing !== null) return;
    const { status } = answer;
    const length = answer.field("content-length");
    const hasNone = expected.method === "HEAD" || status === 204 || status === 304;
    expected.left = hasNone ? 0 : Number(length ?? 0);
    if (hasNone) expected.framing = "none";
    else expected.framing = length === undefined && !answer.isBodiless ? "chunked" : "length";
    const missing = expected.framing === "length" && length === undefined;
    const added = missing ? "content-length: 0\r\n" : "";
    const coding = expected.framing === "chunked" ? "transfer-encoding: chunked\r\n" : "";
    this.#show(headText(answer.fields, added + coding));
  }

  #showBody(expected: Expected): void {
    const { answer, framing } = expected;
    for (const piece of answer.pieces.splice(0)) {
      if (framing === "none") this.destroy(new Error(`a body on stream ${expected.stream}`));
      if (framing === "chunked") this.#show(`${piece.length.toString(16)}\r\n`);
      else expected.left -= piece.length;
      this.#show(piece);
      if (framing === "chunked") this.#show("\r\n");
    }
  }

  #showEnd({ framing, answer, left }: Expected): void {
    if (left !== 0) this.destroy(new Error(`the body differs from its length by ${left} bytes`));
    if (framing === "chunked") this.#show(`0\r\n${lines(answer.trailers)}\r\n`);
  }

  #show(bytes: string | Buffer): void {
    if (!this.push(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes)) {
      this.connection.socket.pause();
    }
  }
}

function headText(fields: readonly Field[], more: string): string {
  const [[, status] = ["", ""], ...others] = fields;
  return `HTTP/1.1 ${status} \r\n${lines(others)}${more}\r\n`;
}

function lines(fields: readonly Field[]): string {
  return fields.map(([name, value]) => `${name}: ${value}\r\n`).join("");
}

/** As `openClient`, but the gateway is spoken to in HTTP/2. */
export async function openHttp2AsHttp1(
  port: number,
  options: Parameters<typeof openClient>[1] = {},
): Promise<RawClient> {
  const { from } = options;
  return new RawClient(new Http2Socket(await openHttp2(port, from === undefined ? {} : { from })));
}
