/**
 * One connection to a peer: sends requests, one after the other, and reads their answers. It tells its
 * exchange what arrives; which exchange that is, and what becomes of failures, is not decided here.
 */
import type { Socket } from "node:net";
import type { PeerFailure } from "../../engine.ts";
import { connectFailure } from "../../exchange/failures.ts";
import type { Http1Engine } from "../../http-engine.ts";
import type { Http1Exchange } from "../../http1/exchange.ts";
import { Reading } from "../../listening/reading.ts";
import { ChunkedDecoder } from "../../message/chunked.ts";
import { isOffered } from "../../message/grammar.ts";
import { ResponseHead } from "../../message/response-head.ts";
import type { Peer } from "../../peer.ts";
import { connectTo } from "../peer-socket.ts";
import type { Pool } from "../pool.ts";

/** Up to here a chunk is decoded whole, and a small answer or request is passed on as one string. */
const wholeTextBytes = 8_192;
const headEnd = "\r\n\r\n";

type Stage = "connecting" | "idle" | "head" | "body" | "tunnel" | "closed";

export class PeerConnection<C> {
  readonly peer: Peer;
  readonly head = new ResponseHead();
  /** Engine clock; 0: none. */
  deadline = 0;
  /** Whether it was kept, or served another request, before the current one. */
  isReused = false;
  /** Whether a byte of the current answer has arrived. */
  hasAnswered = false;
  readonly #engine: Http1Engine<C>;
  readonly #socket: Socket;
  readonly #reading: Reading;
  readonly #pool: Pool<C>;
  /** The last request that waited when this connection was tried. */
  readonly #ticket: number;
  #exchange: Http1Exchange<C> | null = null;
  #stage: Stage = "connecting";
  #pending: Buffer | null = null;
  #remaining = 0;
  #decoder: ChunkedDecoder | null = null;
  #error: Error | null = null;
  /** What of its request the peer had been sent when its deadline was set. */
  #sent = 0;

  /** Begins to connect; `pool` is told how that ends. */
  constructor(
    engine: Http1Engine<C>,
    peer: Peer,
    pool: Pool<C>,
    ticket: number,
    connectTimeoutMs: number,
  ) {
    this.#engine = engine;
    this.peer = peer;
    this.#pool = pool;
    this.#ticket = ticket;
    this.deadline = engine.clock + connectTimeoutMs;
    engine.addPeerConnection(this);
    const socket = connectTo(peer, engine.forbids);
    this.#socket = socket;
    this.#reading = new Reading(socket);
    socket.on("connect", () => this.#onConnect());
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    socket.on("end", () => this.#onEnd());
    socket.on("drain", () => this.#onDrain());
    socket.on("error", (error) => {
      this.#error = error;
    });
    socket.on("close", () => this.#onClose());
  }

  /** The exchange's request may be sent. */
  serve(exchange: Http1Exchange<C>, isReused: boolean): void {
    this.#exchange = exchange;
    this.isReused = isReused;
    this.#stage = "head";
  }

  /** Kept until there is a request for it. */
  rest(): void {
    this.#stage = "idle";
    this.deadline = this.#engine.clock + this.#engine.limits.peerIdleTimeoutMs;
  }

  /** Sends a request head, and the pieces of the body that are there already. */
  sendHead(head: string, pieces: readonly Buffer[], isChunked: boolean): void {
    this.hasAnswered = false;
    this.deadline = 0;
    if (pieces.length === 0) {
      this.#socket.write(head, "latin1");
      return;
    }
    const [only] = pieces;
    if (only !== undefined && pieces.length === 1 && !isChunked && only.length <= wholeTextBytes) {
      this.#socket.write(head + only.toString("latin1"), "latin1");
      return;
    }
    this.#socket.cork();
    this.#socket.write(head, "latin1");
    for (const piece of pieces) this.sendBody(piece, isChunked);
    this.#socket.uncork();
  }

  /** The whole request is sent: from now on it is the peer that has to move. */
  awaitAnswer(): void {
    if (this.#stage === "head") {
      const own = this.#exchange?.tryLimits?.readTimeoutMs;
      this.deadline = this.#engine.clock + (own ?? this.#engine.limits.responseTimeoutMs);
    }
  }

  /** False when the peer is slower than the client: wait for `onPeerDrain`. */
  sendBody(piece: Buffer, isChunked: boolean): boolean {
    let hasRoom: boolean;
    if (isChunked) {
      this.#socket.cork();
      this.#socket.write(`${piece.length.toString(16)}\r\n`, "latin1");
      this.#socket.write(piece);
      hasRoom = this.#socket.write("\r\n", "latin1");
      this.#socket.uncork();
    } else {
      hasRoom = this.#socket.write(piece);
    }
    if (!hasRoom && this.#stage === "head") {
      const own = this.#exchange?.tryLimits?.sendTimeoutMs;
      this.deadline = this.#engine.clock + (own ?? this.#engine.limits.bodyTimeoutMs);
    }
    return hasRoom;
  }

  sendText(text: string): void {
    this.#socket.write(text, "latin1");
  }

  /** Writes bytes of an upgraded connection. False: wait for `onPeerDrain`. */
  sendRaw(bytes: Buffer): boolean {
    return this.#socket.write(bytes);
  }

  /** No more bytes will come from the client of an upgraded connection. */
  endRaw(): void {
    this.#socket.end();
  }

  /** The client is slower than the peer: not the peer's delay. */
  pause(): void {
    this.#reading.hold();
    if (this.#stage === "body") this.deadline = 0;
  }

  resume(): void {
    this.#reading.release();
    if (this.#stage === "body") this.#awaitBody();
  }

  /** Whether it is closed, or about to be: its end is told in a later turn. */
  get isClosing(): boolean {
    return this.#socket.destroyed;
  }

  /** The exchange is done with it; kept for another when `keep`, closed otherwise. */
  release(keep: boolean): void {
    this.#exchange = null;
    this.#reading.release();
    // What came behind the answer while it was held back would be read as the next one.
    const isQuiet = this.#pending === null && this.#socket.readableLength === 0;
    if (keep && isQuiet && !this.isClosing && !this.peer.retired) this.#pool.onFree(this);
    else this.destroy();
  }

  destroy(): void {
    this.#exchange = null;
    this.#socket.destroy();
  }

  onDeadline(): void {
    const exchange = this.#exchange;
    const { host, port } = this.peer;
    if (this.#stage === "connecting") {
      const message = `no connection to ${host}:${port} in time`;
      this.#endConnecting({ code: "connect_timeout", message });
      this.destroy();
    } else if (exchange === null) {
      this.destroy();
    } else if (this.#stage === "head") {
      this.#fail({ code: "response_timeout", message: `no answer from ${host}:${port} in time` });
    } else if (this.#stage === "body" && exchange.bytesIn > this.#sent) {
      // It takes the request: an answer may wait for what the peer reads of it.
      this.#awaitBody();
    } else {
      this.destroy();
      exchange.clientAnswer.onTruncated("body_timeout");
    }
  }

  #onConnect(): void {
    // It reached a place where no peer may be.
    if (this.isClosing) return;
    this.#stage = "idle";
    this.#pool.onConnected(this);
  }

  #onDrain(): void {
    if (this.#stage === "head") this.deadline = 0;
    this.#exchange?.peerRequest.onPeerDrain(this);
  }

  #onData(chunk: Buffer): void {
    const exchange = this.#exchange;
    if (exchange === null) {
      // Bytes that no request asked for: nobody can tell what they belong to.
      this.destroy();
      return;
    }
    switch (this.#stage) {
      case "head":
        this.#readHead(exchange, chunk);
        break;
      case "body":
        this.#awaitBody();
        this.#readBody(exchange, chunk, 0);
        if (this.#stage === "body") this.#reading.count(chunk.length);
        break;
      case "tunnel":
        exchange.tunnel?.sendToClient(chunk);
        break;
    }
  }

  #readHead(exchange: Http1Exchange<C>, chunk: Buffer): void {
    this.hasAnswered = true;
    let buffer = this.#pending === null ? chunk : Buffer.concat([this.#pending, chunk]);
    this.#pending = null;
    for (;;) {
      const isWhole = buffer.length <= wholeTextBytes;
      let end: number;
      let text: string;
      if (isWhole) {
        text = buffer.toString("latin1", 0, buffer.length);
        end = text.indexOf(headEnd);
      } else {
        end = buffer.indexOf(headEnd);
        text = end === -1 ? "" : buffer.toString("latin1", 0, end + 4);
      }
      const { maxHeadBytes } = this.#engine.limits;
      if (end === -1 ? buffer.length > maxHeadBytes : end + 4 > maxHeadBytes) {
        this.#failResponse(`the answer's head is longer than ${maxHeadBytes} bytes`);
        return;
      }
      if (end === -1) {
        this.#pending = buffer;
        return;
      }
      const wrong = this.head.read(text, end + 4, exchange.method);
      if (wrong !== "") {
        this.#failResponse(wrong);
        return;
      }
      if (this.head.status >= 200) {
        this.#beginBody(exchange, buffer, end + 4, isWhole ? text : null);
        return;
      }
      buffer = buffer.subarray(end + 4);
      if (this.head.status === 101) {
        if (!isOffered(exchange.head.upgrade, this.head.upgrade)) {
          this.#failResponse("101 to a protocol that was not offered");
          return;
        }
        this.#stage = "tunnel";
        this.deadline = 0;
        exchange.clientAnswer.onUpgraded(this, buffer);
        return;
      }
      exchange.clientAnswer.onInformational(this.head);
      if (buffer.length === 0) return;
    }
  }

  #beginBody(exchange: Http1Exchange<C>, buffer: Buffer, from: number, text: string | null): void {
    const { framing, contentLength } = this.head;
    const available = buffer.length - from;
    if (text !== null && framing === "length" && available === contentLength) {
      // A small answer that came in one piece leaves in one piece.
      exchange.clientAnswer.onResponseHead(this, text.slice(from));
      exchange.clientAnswer.onResponseEnd("");
      return;
    }
    if (framing === "none") {
      if (available > 0) this.head.keepAlive = false;
      exchange.clientAnswer.onResponseHead(this, "");
      exchange.clientAnswer.onResponseEnd("");
      return;
    }
    this.#stage = "body";
    this.#awaitBody();
    this.#remaining = contentLength;
    if (framing === "chunked") {
      this.#decoder ??= new ChunkedDecoder();
      this.#decoder.reset();
    }
    exchange.clientAnswer.onResponseHead(this, "");
    if (available > 0 && this.#exchange === exchange) this.#readBody(exchange, buffer, from);
  }

  #readBody(exchange: Http1Exchange<C>, buffer: Buffer, from: number): void {
    const { framing } = this.head;
    if (framing === "close") {
      exchange.clientAnswer.onResponseData(buffer, from, buffer.length);
    } else if (framing === "length") {
      const to = Math.min(buffer.length, from + this.#remaining);
      this.#remaining -= to - from;
      if (to < buffer.length) this.head.keepAlive = false;
      exchange.clientAnswer.onResponseData(buffer, from, to);
      if (this.#remaining === 0 && this.#exchange === exchange)
        exchange.clientAnswer.onResponseEnd("");
    } else if (this.#decoder !== null) {
      const decoder = this.#decoder;
      const to = decoder.decode(buffer, from, exchange.clientAnswer.bodySink);
      if (this.#exchange !== exchange) return;
      if (decoder.error !== "") {
        this.destroy();
        exchange.clientAnswer.onTruncated("bad_response_body");
      } else if (decoder.isDone) {
        if (to < buffer.length) this.head.keepAlive = false;
        exchange.clientAnswer.onResponseEnd(decoder.trailer);
      }
    }
  }

  #awaitBody(): void {
    const exchange = this.#exchange;
    const own = exchange?.tryLimits?.readTimeoutMs;
    this.deadline = this.#engine.clock + (own ?? this.#engine.limits.bodyTimeoutMs);
    this.#sent = exchange?.bytesIn ?? 0;
  }

  #onEnd(): void {
    const exchange = this.#exchange;
    if (exchange === null) this.#pool.onEnding(this);
    else if (this.#stage === "tunnel") exchange.tunnel?.endToClient();
    else if (this.#stage === "body" && this.head.framing === "close")
      exchange.clientAnswer.onResponseEnd("");
    else this.#socket.destroy();
  }

  #onClose(): void {
    const exchange = this.#exchange;
    const stage = this.#stage;
    const { host, port } = this.peer;
    const why = this.#error === null ? "closed" : this.#error.message;
    this.#exchange = null;
    this.#engine.removePeerConnection(this);
    if (stage === "connecting") {
      this.#endConnecting(connectFailure(this.peer.key, this.#error));
      return;
    }
    if (stage === "closed") return;
    this.#stage = "closed";
    this.#pool.onClosed(this);
    if (exchange === null) return;
    if (stage === "head") {
      exchange.peerRequest.onPeerFailed(this, {
        code: "reset",
        message: `${host}:${port} gave no answer: ${why}`,
      });
    } else if (stage === "tunnel") {
      exchange.clientAnswer.onTunnelClosed();
    } else {
      exchange.clientAnswer.onTruncated("truncated");
    }
  }

  #endConnecting(failure: PeerFailure): void {
    this.#stage = "closed";
    this.#pool.onConnectFailed(failure, this.#ticket);
  }

  #failResponse(message: string): void {
    const { host, port } = this.peer;
    this.#fail({ code: "bad_response", message: `${host}:${port}: ${message}` });
  }

  #fail(failure: PeerFailure): void {
    const exchange = this.#exchange;
    this.destroy();
    exchange?.peerRequest.onPeerFailed(this, failure);
  }
}
