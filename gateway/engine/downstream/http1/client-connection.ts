/**
 * One client's connection: finds the requests in its bytes, one after the other, hands their bodies to
 * the exchange, and writes what the exchange answers. A request is read when the one before is over.
 */
import type { Socket } from "node:net";
import type { Http1Engine } from "../../http-engine.ts";
import { Http1Exchange } from "../../http1/exchange.ts";
import type { ClientOrigin } from "../../http1/outgoing-heads.ts";
import { Reading } from "../../listening/reading.ts";
import { refusalText } from "../../message/answers.ts";
import { ChunkedDecoder, type ChunkSink } from "../../message/chunked.ts";
import type { Refusal } from "../../message/grammar.ts";
import { RequestHead } from "../../message/request-head.ts";
import { oddTrailerNames } from "../../message/trailer.ts";
import { RequestReader } from "./request-reader.ts";

/** A client may send ahead this much of its next requests; then it is not read until its turn. */
const maxAheadBytes = 65_536;
/** A body up to this size that came whole with its head leaves with it, in one write. */
const smallBodyBytes = 8_192;
/** How long a refused client may go on sending before the connection is cut, so that it can read why. */
const lingerMs = 5_000;
/**
 * `idle`: between requests. `head`: a head has begun. `exchange`: a request is being served.
 * `tunnel`: upgraded. `closing`: the last byte is written; what comes is thrown away.
 */
type Stage = "idle" | "head" | "exchange" | "tunnel" | "closing" | "closed";

export class ClientConnection<C> implements ClientOrigin {
  readonly address: string;
  /** Where it was accepted. */
  readonly listener: number;
  /** `X-Forwarded-For` and `-Proto` of every request of an untrusted client. */
  readonly forwardedLine: string;
  /** Engine clock; 0: none. */
  deadline: number;
  /** Whether it counts among those that the engine may have. */
  isAdmitted = false;
  /** Whether the connection outlives the current exchange. */
  keepAlive = true;
  readonly #engine: Http1Engine<C>;
  readonly #socket: Socket;
  readonly #reading: Reading;
  readonly #head = new RequestHead();
  readonly #exchange: Http1Exchange<C>;
  #stage: Stage = "idle";
  #requests = 0;
  readonly #reader = new RequestReader();
  #isParsing = false;
  #hasEnded = false;
  /** What the socket had not yet written when its deadline was set. */
  #unsent = 0;
  /** What of its answer the client had been sent when its deadline was set. */
  #sent = 0;
  /** Bytes of the body still to come, when it has a length. */
  #remaining = 0;
  #isBodyDone = true;
  #decoder: ChunkedDecoder | null = null;
  readonly #bodySink: ChunkSink;

  /** `trusts`: of a trusted proxy's connection, which others are trusted. */
  constructor(
    engine: Http1Engine<C>,
    socket: Socket,
    address: string,
    trusts: ((address: string) => boolean) | null,
    listener: number,
  ) {
    this.#engine = engine;
    this.#socket = socket;
    this.#reading = new Reading(socket);
    this.address = address;
    this.listener = listener;
    if (trusts !== null) this.#head.proxy = { address, trusts };
    this.forwardedLine = `X-Forwarded-For: ${this.address}\r\nX-Forwarded-Proto: http\r\n`;
    this.#exchange = new Http1Exchange(engine, this, this.#head);
    this.#bodySink = {
      onChunkData: (buffer, from, to) => this.#onBodyPiece(buffer, from, to),
    };
    this.deadline = engine.clock + engine.limits.idleTimeoutMs;
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    socket.on("end", () => this.#onEnd());
    socket.on("drain", () => this.#onDrain());
    // A socket's error is always followed by its close, which is handled.
    socket.on("error", () => {});
    socket.on("close", () => this.#onClose());
  }

  /** False: the client is slower than what is written; `onClientDrain` follows. */
  write(text: string): boolean {
    return this.#socket.write(text, "latin1");
  }

  /** False: the client is slower than the peer; `onClientDrain` follows. */
  writeBody(piece: Buffer, asChunk: boolean): boolean {
    const socket = this.#socket;
    let hasRoom: boolean;
    if (asChunk) {
      socket.cork();
      socket.write(`${piece.length.toString(16)}\r\n`, "latin1");
      socket.write(piece);
      hasRoom = socket.write("\r\n", "latin1");
      socket.uncork();
    } else {
      hasRoom = socket.write(piece);
    }
    // From now on it is the client that has to move.
    if (!hasRoom) this.#awaitProgress();
    return hasRoom;
  }

  resumeReading(): void {
    if (!this.#reading.isHeld) return;
    this.#reading.release();
    if (this.#stage === "exchange" && !this.#isBodyDone) this.#touch();
  }

  /**
   * Ends without the end of the answer, so that the client sees that it is not whole: where neither a
   * length nor a last chunk is missing (`isBare`), only a reset tells.
   */
  truncate(isBare: boolean): void {
    this.#stage = "closing";
    this.#awaitProgress();
    if (isBare) this.#socket.resetAndDestroy();
    else this.#socket.destroySoon();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Answers what never became an exchange, and closes. `isHead`: it was, or begins as, a HEAD request. */
  refuse(refusal: Refusal, isHead = false): void {
    this.#engine.countRefused(refusal.code);
    this.write(refusalText(refusal, this.#engine.dateLine, isHead));
    this.#close();
  }

  beginTunnel(): void {
    this.#stage = "tunnel";
    this.touchTunnel();
    const ahead = this.#reader.takePending();
    if (ahead !== null) this.#onTunnelBytes(ahead);
    if (this.#hasEnded) this.#exchange.tunnel?.endToPeer();
  }

  /** Bytes went over an upgraded connection. */
  touchTunnel(): void {
    this.deadline = this.#engine.clock + this.#engine.limits.tunnelTimeoutMs;
  }

  endTunnel(): void {
    this.#socket.end();
  }

  /** Called by the exchange when it is over; `isRequestRead`: nothing of its body is still to come. */
  onExchangeOver(isRequestRead: boolean): void {
    if (this.#stage === "closing" || this.#stage === "closed") return;
    if (this.#stage === "tunnel" || this.#hasEnded || !this.keepAlive || !isRequestRead) {
      this.#close();
      return;
    }
    this.#stage = "idle";
    if (this.#socket.writableNeedDrain) {
      this.#awaitProgress();
      return;
    }
    this.deadline = this.#engine.clock + this.#engine.limits.idleTimeoutMs;
    this.resumeReading();
    if (this.#reader.pending !== null && !this.#isParsing) this.#read();
  }

  /** The engine stops: one more request may come until `graceEnd`. */
  onDrainStart(graceEnd: number): void {
    if (this.#stage === "idle") this.deadline = Math.min(this.deadline, graceEnd);
  }

  onDeadline(): void {
    const { limits } = this.#engine;
    if (this.#socket.writableLength < this.#unsent) {
      // Slowly, but it takes its answer.
      this.#awaitProgress();
      return;
    }
    switch (this.#stage) {
      case "idle":
        this.#close();
        break;
      case "head":
        this.refuse(
          {
            status: 408,
            code: "head_timeout",
            message: `no whole request head within ${limits.headTimeoutMs} ms`,
          },
          this.#reader.isHead,
        );
        break;
      case "exchange":
        if (this.#isBodyDone) {
          // The client does not take its answer.
          this.destroy();
        } else if (this.#exchange.bytesOut > this.#sent) {
          // Its answer flows: an upload may wait for what the client reads of it.
          this.#touch();
        } else {
          this.#exchange.onRequestBroken(408, "body_timeout", "the request body stalled");
        }
        break;
      default:
        this.destroy();
    }
  }

  /**
   * Looks whether a client that is not read now has gone. A reset shows in a write, even one of no bytes; a
   * close shows in a read when nothing unread stands before it.
   */
  probe(): void {
    if (!this.#reading.isHeld || this.#stage === "closed") return;
    this.#socket.read(0);
    if (this.#socket.writableLength === 0) this.#socket.write("");
  }

  #touch(): void {
    this.#unsent = 0;
    this.#sent = this.#exchange.bytesOut;
    this.deadline = this.#engine.clock + this.#engine.limits.bodyTimeoutMs;
  }

  #awaitProgress(): void {
    this.#touch();
    this.#unsent = this.#socket.writableLength;
  }

  #onData(chunk: Buffer): void {
    switch (this.#stage) {
      case "idle":
      case "head":
        this.#keepAhead(chunk);
        if (!this.#reading.isHeld) this.#read();
        break;
      case "exchange":
        if (this.#isBodyDone) this.#keepAhead(chunk);
        else this.#readBody(chunk, 0);
        if (!this.#isBodyDone) this.#reading.count(chunk.length);
        break;
      case "tunnel":
        this.#onTunnelBytes(chunk);
        break;
    }
  }

  #onTunnelBytes(bytes: Buffer): void {
    this.touchTunnel();
    if (this.#exchange.tunnel?.sendToPeer(bytes) === false) this.#pause();
  }

  #keepAhead(chunk: Buffer): void {
    const reader = this.#reader;
    reader.add(chunk);
    const ahead = reader.pending?.length ?? 0;
    if (ahead > maxAheadBytes && !this.#mayRead()) this.#pause();
  }

  /** A client that does not take its answers is not served further ones. */
  #mayRead(): boolean {
    return (this.#stage === "idle" || this.#stage === "head") && !this.#socket.writableNeedDrain;
  }

  /** Not read until the peer, or the turn of its next request, has room: not the client's delay. */
  #pause(): void {
    this.#reading.hold();
    if (this.#stage !== "exchange") return;
    // Unless it is the client that holds up the peer by not taking the answer.
    if (this.#socket.writableNeedDrain) this.#awaitProgress();
    else this.deadline = 0;
  }

  /** Reads requests as long as there are whole heads and nothing is being served. */
  #read(): void {
    this.#isParsing = true;
    while (this.#reader.pending !== null && this.#mayRead()) {
      if (!this.#readRequest()) break;
    }
    this.#isParsing = false;
  }

  /** False: more bytes are needed, or the request was refused. */
  #readRequest(): boolean {
    const { limits, clock } = this.#engine;
    const head = this.#head;
    const found = this.#reader.read(head, limits);
    if (found === "nothing") return false;
    if (found === "partial") {
      if (this.#stage === "idle") {
        this.#stage = "head";
        this.deadline = clock + limits.headTimeoutMs;
      }
      return false;
    }
    if (head.oddNames > 0) this.#engine.droppedHeaders += head.oddNames;
    const refusal = found === "whole" ? this.#checkLength(head) : found;
    if (refusal !== null) {
      this.refuse(refusal, found === "whole" ? head.method === "HEAD" : this.#reader.isHead);
      return false;
    }
    this.#stage = "exchange";
    this.#requests += 1;
    this.keepAlive =
      head.keepAlive &&
      (limits.maxRequestsPerConnection === 0 || this.#requests < limits.maxRequestsPerConnection);
    this.#remaining = head.contentLength;
    const isSmall = head.contentLength > 0 && head.contentLength <= smallBodyBytes;
    const body = isSmall ? this.#reader.takeWhole(head.contentLength) : null;
    this.#isBodyDone = !head.hasBody || body !== null;
    if (head.isChunked) {
      this.#decoder ??= new ChunkedDecoder();
      this.#decoder.reset();
    }
    if (this.#isBodyDone) this.deadline = 0;
    else this.#touch();
    this.#exchange.begin(body);
    // `begin` may have ended the exchange: an unread body then goes with the connection.
    if (!this.#isBodyDone && this.#stage === "exchange") {
      const begun = this.#reader.takePending();
      if (begun !== null) this.#readBody(begun, 0);
    }
    return true;
  }

  #checkLength(head: RequestHead): Refusal | null {
    const { maxBodyBytes } = this.#engine.limits;
    return maxBodyBytes > 0 && head.contentLength > maxBodyBytes ? tooLarge(maxBodyBytes) : null;
  }

  #readBody(buffer: Buffer, from: number): void {
    this.#touch();
    let at: number;
    if (this.#head.isChunked && this.#decoder !== null) {
      const decoder = this.#decoder;
      at = decoder.decode(buffer, from, this.#bodySink);
      if (this.#isBodyDone || this.#stage !== "exchange") return;
      if (decoder.error !== "") {
        this.#engine.countRefused("bad_chunk");
        this.#breakBody(400, "bad_chunk", decoder.error);
        return;
      }
      if (decoder.isDone) {
        const { limits } = this.#engine;
        this.#engine.droppedHeaders += oddTrailerNames(decoder.trailer, limits);
        this.#endBody(decoder.trailer);
      }
    } else {
      at = Math.min(buffer.length, from + this.#remaining);
      this.#remaining -= at - from;
      this.#onBodyPiece(buffer, from, at);
      if (this.#remaining === 0 && !this.#isBodyDone) this.#endBody("");
    }
    if (at < buffer.length && this.#stage !== "closing") {
      this.#keepAhead(at === 0 ? buffer : buffer.subarray(at));
      if (this.#stage === "idle" && !this.#isParsing) this.#read();
    }
  }

  #onBodyPiece(buffer: Buffer, from: number, to: number): void {
    if (this.#isBodyDone) return;
    const exchange = this.#exchange;
    const { maxBodyBytes } = this.#engine.limits;
    if (!exchange.onRequestData(buffer, from, to)) this.#pause();
    if (maxBodyBytes > 0 && exchange.bytesIn > maxBodyBytes) {
      const { status, code, message } = tooLarge(maxBodyBytes);
      this.#engine.countRefused(code);
      this.#breakBody(status, code, message);
    }
  }

  #breakBody(status: number, code: string, message: string): void {
    this.#isBodyDone = true;
    this.keepAlive = false;
    this.#exchange.onRequestBroken(status, code, message);
  }

  #endBody(trailer: string): void {
    this.#isBodyDone = true;
    this.deadline = 0;
    this.#exchange.onRequestEnd(trailer);
  }

  #onDrain(): void {
    if (this.#stage === "tunnel") this.touchTunnel();
    else if (this.#stage === "exchange" && (this.#isBodyDone || this.#reading.isHeld))
      this.deadline = 0;
    this.#exchange.onClientDrain();
    if (this.#mayRead()) {
      this.resumeReading();
      this.#read();
    }
  }

  #onEnd(): void {
    this.#hasEnded = true;
    switch (this.#stage) {
      case "idle":
      case "head":
        this.#close();
        break;
      case "exchange":
        if (this.#isBodyDone && this.#engine.limits.servesHalfClosed) this.keepAlive = false;
        else this.destroy();
        break;
      case "tunnel":
        this.#exchange.tunnel?.endToPeer();
        break;
    }
  }

  #onClose(): void {
    this.#stage = "closed";
    this.#exchange.onClientGone();
    this.#engine.removeClient(this);
  }

  /** Closes after what was written; a client that goes on sending is not reset before it could read. */
  #close(): void {
    this.#stage = "closing";
    this.#reader.takePending();
    this.resumeReading();
    this.#awaitProgress();
    this.#socket.end(() => {
      this.#unsent = 0;
      this.deadline = this.#engine.clock + lingerMs;
      if (this.#hasEnded) this.destroy();
    });
  }
}

function tooLarge(maxBodyBytes: number): Refusal {
  const message = `the request body is longer than ${maxBodyBytes} bytes`;
  return { status: 413, code: "body_too_large", message };
}
