/**
 * One connection to a peer that speaks HTTP/1.1: sends requests, one after the other, and reads their answers. It
 * reports what arrives, and decides nothing about it.
 */

import type { Socket } from "node:net";
import { writeChunk } from "../../chunk-writing.ts";
import type { PeerFailure } from "../../engine.ts";
import type { UpstreamRequest } from "../../exchange/ports.ts";
import { ChunkedDecoder, type ChunkSink } from "../../message/chunked.ts";
import { isOffered } from "../../message/grammar.ts";
import type { Framing } from "../../message/response-head.ts";
import { isAccepted } from "../../message/web-socket.ts";
import type { Peer } from "../../peer.ts";
import { Reading } from "../../reading.ts";
import type { PeerTls } from "../../target.ts";
import { connectTo, whyLate, whyUnusable } from "../peer-socket.ts";
import type { ConnectionOwner, PeerHost, PooledConnection } from "../pooled.ts";
import { requestText } from "./request-text.ts";

/** Up to this size, a chunk is decoded whole, and a small answer or request is passed on as one string. */
const wholeTextBytes = 8_192;
const headEnd = "\r\n\r\n";

type Stage = "connecting" | "idle" | "head" | "body" | "tunnel" | "closed";

export class PeerConnection implements PooledConnection {
  readonly peer: Peer;
  isReused = false;
  hasAnswered = false;
  readonly #host: PeerHost;
  readonly #owner: ConnectionOwner;
  readonly #socket: Socket;
  readonly #reading: Reading;
  readonly #bodySink: ChunkSink;
  /** On the engine's clock, while no request uses the connection; 0: none. */
  #deadline: number;
  #request: UpstreamRequest | null = null;
  #stage: Stage = "connecting";
  #pending: Buffer | null = null;
  /** Whether the request's body is sent in chunks. */
  #writesChunks = false;
  /** Whether the peer has been sent the whole request. */
  #isSent = false;
  /** The framing that the answer's head announced. */
  #framing: Framing = "none";
  #keepAlive = false;
  #remaining = 0;
  #decoder: ChunkedDecoder | null = null;
  #error: Error | null = null;

  /** Begins to connect. */
  constructor(
    host: PeerHost,
    peer: Peer,
    tls: PeerTls | null,
    owner: ConnectionOwner,
    connectTimeoutMs: number,
  ) {
    this.#host = host;
    this.peer = peer;
    this.#owner = owner;
    this.#deadline = host.clock.current + connectTimeoutMs;
    this.#bodySink = {
      onChunkData: (buffer, from, to) => this.#request?.onAnswerData(buffer, from, to),
    };
    host.add(this);
    const socket = connectTo(peer, host, tls, "http/1.1");
    this.#socket = socket;
    this.#reading = new Reading(socket);
    socket.on(tls === null ? "connect" : "secureConnect", () => this.#onConnect());
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    socket.on("end", () => this.#onEnd());
    socket.on("drain", () => this.#request?.onPeerDrain());
    socket.on("error", (error) => {
      this.#error = error;
    });
    socket.on("close", () => this.#onClose());
  }

  // Called by its owner.

  /** The connection belongs to this request now, which sends next. */
  serve(request: UpstreamRequest, isReused: boolean): void {
    this.#request = request;
    this.isReused = isReused;
    this.hasAnswered = false;
    this.#isSent = false;
    this.#stage = "head";
    this.#deadline = 0;
    request.onStream(this);
  }

  /** Keeps the connection open until there is a request for it. */
  rest(): void {
    this.#stage = "idle";
    this.#deadline = this.#host.clock.current + this.#host.limits.peerIdleTimeoutMs;
  }

  /** Whether it is closed or about to be; the owner hears of the end in a later turn. */
  get isClosing(): boolean {
    return this.#socket.destroyed;
  }

  destroy(): void {
    this.#request = null;
    this.#socket.destroy();
  }

  onTick(now: number): void {
    if (this.#deadline === 0 || now < this.#deadline) return;
    if (this.#stage === "connecting")
      this.#endConnecting(whyLate(this.#host, this.peer, this.#socket));
    this.destroy();
  }

  // Called by its request.

  send(pieces: readonly Buffer[], isWhole: boolean, trailer: string): boolean {
    const request = this.#request;
    if (request === null) return true;
    const head = requestText(request);
    const socket = this.#socket;
    this.#writesChunks = request.isStreamed;
    this.#isSent = isWhole;
    const [only] = pieces;
    if (only === undefined && !this.#writesChunks) return socket.write(head, "latin1");
    if (
      only !== undefined &&
      pieces.length === 1 &&
      !this.#writesChunks &&
      only.length <= wholeTextBytes
    ) {
      return socket.write(head + only.toString("latin1"), "latin1");
    }
    socket.cork();
    let hasRoom = socket.write(head, "latin1");
    for (const piece of pieces) hasRoom = this.sendData(piece);
    if (isWhole) this.sendEnd(trailer);
    socket.uncork();
    return hasRoom;
  }

  sendData(piece: Buffer): boolean {
    const socket = this.#socket;
    return this.#writesChunks ? writeChunk(socket, piece) : socket.write(piece);
  }

  sendEnd(trailer: string): void {
    this.#isSent = true;
    if (this.#stage === "tunnel") this.#socket.end();
    else if (this.#writesChunks) this.#socket.write(`0\r\n${trailer}\r\n`, "latin1");
  }

  pause(): void {
    this.#reading.hold();
  }

  resume(): void {
    this.#reading.release();
  }

  abort(): void {
    this.destroy();
  }

  #onConnect(): void {
    // The address turned out to be a forbidden one, and `connectTo` has destroyed the socket.
    if (this.isClosing) return;
    this.#stage = "idle";
    this.#owner.onConnected(this);
  }

  #onData(chunk: Buffer): void {
    const request = this.#request;
    if (request === null) {
      // No request asked for these bytes, so nobody can tell what they belong to.
      this.destroy();
      return;
    }
    switch (this.#stage) {
      case "head":
        this.#readHead(request, chunk);
        break;
      case "body":
        this.#readBody(request, chunk, 0);
        if (this.#stage === "body") this.#reading.count(chunk.length);
        break;
      case "tunnel":
        request.onAnswerData(chunk, 0, chunk.length);
        break;
    }
  }

  #readHead(request: UpstreamRequest, chunk: Buffer): void {
    const head = request.answerHead;
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
      const { maxHeadBytes } = this.#host.limits;
      if (end === -1 ? buffer.length > maxHeadBytes : end + 4 > maxHeadBytes) {
        this.#failResponse(`the answer's head is longer than ${maxHeadBytes} bytes`);
        return;
      }
      if (end === -1) {
        this.#pending = buffer;
        return;
      }
      const wrong = head.read(text, end + 4, request.head.method);
      if (wrong !== "") {
        this.#failResponse(wrong);
        return;
      }
      if (head.status >= 200) {
        this.#framing = head.framing;
        this.#keepAlive = head.keepAlive;
        this.#beginBody(request, buffer, end + 4, isWhole ? text : null);
        return;
      }
      buffer = buffer.subarray(end + 4);
      if (head.status === 101) {
        if (!isOffered(request.head.upgrade, head.upgrade)) {
          this.#failResponse("101 to a protocol that was not offered");
          return;
        }
        if (request.head.mustSwitch && !isHandshake(request)) {
          this.#failResponse("101 without the Sec-WebSocket-Accept that belongs to the key");
          return;
        }
        this.#stage = "tunnel";
        this.#writesChunks = false;
        request.onUpgrade(buffer);
        return;
      }
      request.onInterim();
      if (buffer.length === 0 || this.#request !== request) return;
    }
  }

  #beginBody(request: UpstreamRequest, buffer: Buffer, from: number, text: string | null): void {
    const { contentLength } = request.answerHead;
    const available = buffer.length - from;
    if (text !== null && this.#framing === "length" && available === contentLength) {
      // A small answer that came in one piece is passed on in one piece.
      this.#release();
      request.onAnswer(text.slice(from));
      return;
    }
    if (this.#framing === "none") {
      if (available > 0) this.#keepAlive = false;
      this.#release();
      request.onAnswer("");
      return;
    }
    this.#stage = "body";
    this.#remaining = contentLength;
    if (this.#framing === "chunked") {
      this.#decoder ??= new ChunkedDecoder();
      this.#decoder.reset();
    }
    request.onHead(available > 0 && this.#framing !== "chunked");
    if (available > 0 && this.#request === request) this.#readBody(request, buffer, from);
  }

  #readBody(request: UpstreamRequest, buffer: Buffer, from: number): void {
    if (this.#framing === "close") {
      request.onAnswerData(buffer, from, buffer.length);
    } else if (this.#framing === "length") {
      const to = Math.min(buffer.length, from + this.#remaining);
      this.#remaining -= to - from;
      if (to < buffer.length) this.#keepAlive = false;
      request.onAnswerData(buffer, from, to);
      if (this.#remaining === 0 && this.#request === request) this.#endBody(request, "");
    } else if (this.#decoder !== null) {
      const decoder = this.#decoder;
      const to = decoder.decode(buffer, from, this.#bodySink);
      if (this.#request !== request) return;
      if (decoder.error !== "") {
        this.#failResponse(decoder.error);
      } else if (decoder.isDone) {
        if (to < buffer.length) this.#keepAlive = false;
        this.#endBody(request, decoder.trailer);
      }
    }
  }

  #endBody(request: UpstreamRequest, trailer: string): void {
    this.#release();
    request.onAnswerEnd(trailer);
  }

  /** The answer is complete: keeps the connection for another request if both sides allow it, or else closes it. */
  #release(): void {
    this.#request = null;
    this.#reading.release();
    // Bytes that came after the answer while it was held back would be read as the next answer.
    const isQuiet = this.#pending === null && this.#socket.readableLength === 0;
    const isKept = this.#keepAlive && this.#isSent && isQuiet;
    if (isKept && !this.isClosing && !this.peer.retired) this.#owner.onFree(this);
    else this.destroy();
  }

  #onEnd(): void {
    const request = this.#request;
    if (request === null) this.#owner.onEnding(this);
    else if (this.#stage === "tunnel") request.onAnswerEnd("");
    else if (this.#stage === "body" && this.#framing === "close") this.#endBody(request, "");
    else this.#socket.destroy();
  }

  #onClose(): void {
    const request = this.#request;
    const stage = this.#stage;
    this.#request = null;
    this.#host.remove(this);
    if (stage === "connecting") {
      this.#endConnecting(whyUnusable(this.#host, this.peer, this.#socket, this.#error));
      return;
    }
    if (stage === "closed") return;
    this.#stage = "closed";
    this.#owner.onClosed(this);
    const why = this.#error === null ? "closed" : this.#error.message;
    request?.onFailed({ code: "reset", message: `${this.peer.key} gave no whole answer: ${why}` });
  }

  #endConnecting(failure: PeerFailure): void {
    this.#stage = "closed";
    this.#owner.onConnectFailed(this, failure);
  }

  #failResponse(message: string): void {
    const request = this.#request;
    this.destroy();
    request?.onFailed({ code: "bad_response", message: `${this.peer.key}: ${message}` });
  }
}

/** Whether the peer's answer belongs to the key that it was sent. Only who has no part in the handshake cannot see it. */
function isHandshake({ head, answerHead }: UpstreamRequest): boolean {
  return isAccepted(
    head.fields.get("sec-websocket-key"),
    answerHead.fields.get("sec-websocket-accept"),
  );
}
