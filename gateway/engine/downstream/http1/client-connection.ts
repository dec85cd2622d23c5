/**
 * One client's connection that speaks HTTP/1.1. It finds the requests in the client's bytes, hands their bodies to
 * the exchange, and writes what the exchange answers. It reads a request when the one before is over.
 */

import type { Socket } from "node:net";
import { writeChunk } from "../../chunk-writing.ts";
import type { CutReason, Downstream, DownstreamEvents } from "../../exchange/ports.ts";
import { refusalText } from "../../message/answers.ts";
import { ChunkedDecoder, type ChunkSink } from "../../message/chunked.ts";
import type { Refusal } from "../../message/grammar.ts";
import { RequestHead } from "../../message/request-head.ts";
import type { ResponseHead } from "../../message/response-head.ts";
import { oddTrailerNames } from "../../message/trailer.ts";
import { Reading } from "../../reading.ts";
import type { ClientTls } from "../../tls.ts";
import {
  type ClientHost,
  type ClientOrigin,
  type ClientSession,
  resetConnection,
} from "../session.ts";
import { RequestReader } from "./request-reader.ts";

/** How much of its next requests a client may send ahead; beyond it, the client is not read until its turn. */
const maxAheadBytes = 65_536;
/** Up to this size, a body that is complete together with its head leaves with it in one write. */
const smallBodyBytes = 8_192;
/** How long a refused client may go on sending before the connection is cut, so that it can read the reason. */
const lingerMs = 5_000;
/**
 * `idle`: between requests. `head`: a head has begun. `exchange`: a request is being served. `tunnel`: upgraded.
 * `closing`: the last byte is written, and whatever arrives is thrown away.
 */
type Stage = "idle" | "head" | "exchange" | "tunnel" | "closing" | "closed";

export class ClientConnection implements ClientSession, Downstream {
  readonly address: string;
  readonly listener: number;
  readonly scheme: "http" | "https";
  readonly tls: ClientTls | null;
  readonly forwardedLine: string;
  isAdmitted = false;
  readonly #host: ClientHost;
  readonly #client: ClientOrigin;
  readonly #socket: Socket;
  readonly #reading: Reading;
  readonly #head = new RequestHead();
  readonly #exchange: DownstreamEvents;
  readonly #reader = new RequestReader();
  readonly #bodySink: ChunkSink;
  #stage: Stage = "idle";
  /** On the engine's clock; 0: none. While a request is served, its exchange keeps the deadlines. */
  #deadline: number;
  /** Whether the connection outlives the current exchange. */
  #keepAlive = true;
  #requests = 0;
  #isParsing = false;
  #hasEnded = false;
  /** How much the socket had not yet written when its deadline was set. */
  #unsent = 0;
  /** Bytes of the body that are still to come, when the body has a length. */
  #remaining = 0;
  #isBodyDone = true;
  #decoder: ChunkedDecoder | null = null;
  /** Whether an answer's head waits for the first piece of its body. */
  #isCorked = false;
  /** Whether the answer's body is written in chunks. */
  #writesChunks = false;
  /** Whether the answer announced a length, by which the client can tell that it is incomplete. */
  #hasLength = false;

  constructor(host: ClientHost, socket: Socket, client: ClientOrigin) {
    this.#host = host;
    this.#socket = socket;
    this.#reading = new Reading(socket);
    this.#client = client;
    this.address = client.address;
    this.listener = client.listener;
    this.scheme = client.scheme;
    this.tls = client.tls;
    this.forwardedLine = client.forwardedLine;
    this.#head.proxy = client.proxy;
    this.#exchange = host.openExchange(this, this.#head);
    this.#bodySink = {
      onChunkData: (buffer, from, to) => this.#onBodyPiece(buffer, from, to),
    };
    this.#deadline = host.clock.current + host.limits.idleTimeoutMs;
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    socket.on("end", () => this.#onEnd());
    socket.on("drain", () => this.#onDrain());
    // `close` always follows `error`, and is handled.
    socket.on("error", () => {});
    socket.on("close", () => this.#onClose());
  }

  // Called by the exchange.

  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  sendInterim(head: ResponseHead): boolean {
    // An HTTP/1.0 client does not know interim answers (RFC 9110 section 15.2).
    if (this.#head.version === "1.0") return true;
    return this.#socket.write(`HTTP/1.1 ${head.statusLine}${head.fields}\r\n`, "latin1");
  }

  sendWhole(head: ResponseHead, body: string): void {
    const text = this.#headText(head);
    this.#socket.write(body === "" ? text : text + body, "latin1");
  }

  sendHead(head: ResponseHead, isFollowed: boolean): void {
    // Sends both in one system call: writing takes half of the processor time for an answer of 16 kB.
    if (isFollowed) this.#socket.cork();
    this.#isCorked = isFollowed;
    this.#socket.write(this.#headText(head), "latin1");
  }

  sendData(piece: Buffer): boolean {
    const socket = this.#socket;
    const hasRoom = this.#writesChunks ? writeChunk(socket, piece) : socket.write(piece);
    if (this.#isCorked) this.#uncork();
    return hasRoom;
  }

  sendEnd(trailer: string): void {
    if (this.#isCorked) this.#uncork();
    if (this.#stage === "tunnel") this.#socket.end();
    else if (this.#writesChunks) this.#socket.write(`0\r\n${trailer}\r\n`, "latin1");
  }

  sendUpgrade(head: ResponseHead): void {
    const { statusLine, fields, upgrade } = head;
    this.#socket.write(
      `HTTP/1.1 ${statusLine}${fields}Connection: Upgrade\r\nUpgrade: ${upgrade}\r\n\r\n`,
      "latin1",
    );
    this.#stage = "tunnel";
    this.#writesChunks = false;
    const ahead = this.#reader.takePending();
    if (ahead !== null) this.#onTunnelBytes(ahead);
    if (this.#hasEnded) this.#exchange.onEnd("");
  }

  cut(reason: CutReason): void {
    if (this.#isCorked) this.#uncork();
    if (reason === "reset") {
      this.#socket.end();
      return;
    }
    this.#stage = "closing";
    if (reason !== "truncated") {
      this.destroy();
      return;
    }
    this.#awaitProgress();
    // The client misses a length or a last chunk, if one was announced; otherwise only a reset tells it.
    if (this.#writesChunks || this.#hasLength) this.#socket.destroySoon();
    else resetConnection(this.#socket, this.tls);
  }

  resume(): void {
    if (this.#reading.isHeld) this.#reading.release();
  }

  release(): void {
    if (this.#stage === "closing" || this.#stage === "closed") return;
    const isKept = this.#stage === "exchange" && this.#keepAlive && this.#isBodyDone;
    if (!isKept || this.#hasEnded) {
      this.#close();
      return;
    }
    this.#stage = "idle";
    if (this.#socket.writableNeedDrain) {
      this.#awaitProgress();
      return;
    }
    const { clock, limits } = this.#host;
    this.#unsent = 0;
    this.#deadline = clock.current + limits.idleTimeoutMs;
    this.resume();
    if (this.#reader.pending !== null && !this.#isParsing) this.#read();
  }

  // Called by the engine.

  onTick(now: number): void {
    if (this.#stage === "exchange" || this.#stage === "tunnel") this.#exchange.onTick(now);
    else if (this.#deadline !== 0 && now >= this.#deadline) this.#onDeadline();
  }

  /**
   * Looks for a client that has gone. A write shows a reset, even a write of no bytes. A read shows a close, if no
   * unread bytes come before it.
   */
  probe(): void {
    if (!this.#reading.isHeld || this.#stage === "closed") return;
    this.#socket.read(0);
    if (this.#socket.writableLength === 0) this.#socket.write("");
  }

  onDrainStart(graceEnd: number): void {
    if (this.#stage === "idle") this.#deadline = Math.min(this.#deadline, graceEnd);
  }

  /** `isHead`: the refused request is a HEAD request, or begins like one. */
  refuse(refusal: Refusal, isHead = false): void {
    const { counters, clock } = this.#host;
    counters.countRefused(refusal.code, this.address);
    this.#socket.write(refusalText(refusal, clock.dateLine, isHead), "latin1");
    this.#close();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #uncork(): void {
    this.#isCorked = false;
    this.#socket.uncork();
  }

  /** Returns the head of an answer, and notes whether the connection outlives it. */
  #headText(head: ResponseHead): string {
    const { version } = this.#head;
    if (!this.#isBodyDone || this.#host.isDraining) this.#keepAlive = false;
    this.#writesChunks = head.isStreamed && version !== "1.0";
    // An HTTP/1.0 client does not know chunks: closing the connection ends its body.
    if (head.isStreamed && !this.#writesChunks) this.#keepAlive = false;
    this.#hasLength = head.framing === "length";
    let framing = "";
    if (this.#writesChunks) framing = "Transfer-Encoding: chunked\r\n";
    else if (!head.isStreamed && head.contentLength !== -1 && head.status !== 204)
      framing = `Content-Length: ${head.contentLength}\r\n`;
    let connection = "";
    if (!this.#keepAlive) connection = "Connection: close\r\n";
    else if (version === "1.0") connection = "Connection: keep-alive\r\n";
    const date = head.hasDate ? "" : this.#host.clock.dateLine;
    return `HTTP/1.1 ${head.statusLine}${date}${head.fields}${framing}${connection}\r\n`;
  }

  #onDeadline(): void {
    if (this.#socket.writableLength < this.#unsent) {
      // The client is slow, but it takes its answer.
      this.#awaitProgress();
    } else if (this.#stage === "idle") {
      this.#close();
    } else if (this.#stage === "head") {
      const { headTimeoutMs } = this.#host.limits;
      const message = `no whole request head within ${headTimeoutMs} ms`;
      this.refuse({ status: 408, code: "head_timeout", message }, this.#reader.isHead);
    } else {
      this.destroy();
    }
  }

  #awaitProgress(): void {
    const { clock, limits } = this.#host;
    this.#unsent = this.#socket.writableLength;
    this.#deadline = clock.current + limits.bodyTimeoutMs;
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
    if (!this.#exchange.onData(bytes, 0, bytes.length)) this.#reading.hold();
  }

  #keepAhead(chunk: Buffer): void {
    const reader = this.#reader;
    reader.add(chunk);
    const ahead = reader.pending?.length ?? 0;
    if (ahead > maxAheadBytes && !this.#mayRead()) this.#reading.hold();
  }

  /** False for a client that does not take its answers: it is not served further ones. */
  #mayRead(): boolean {
    return (this.#stage === "idle" || this.#stage === "head") && !this.#socket.writableNeedDrain;
  }

  /** Reads requests as long as there are complete heads and no request is being served. */
  #read(): void {
    this.#isParsing = true;
    while (this.#reader.pending !== null && this.#mayRead()) {
      if (!this.#readRequest()) break;
    }
    this.#isParsing = false;
  }

  /** Returns false when more bytes are needed, or when the request was refused. */
  #readRequest(): boolean {
    const { limits, clock, counters } = this.#host;
    const head = this.#head;
    const found = this.#reader.read(head, limits);
    if (found === "nothing") return false;
    if (found === "partial") {
      if (this.#stage === "idle") {
        this.#stage = "head";
        this.#unsent = 0;
        this.#deadline = clock.current + limits.headTimeoutMs;
      }
      return false;
    }
    if (head.oddNames > 0) counters.droppedHeaders += head.oddNames;
    if (found !== "whole") {
      if (this.#reader.isPreface && this.#becomeHttp2()) return false;
      this.refuse(found, this.#reader.isHead);
      return false;
    }
    this.#stage = "exchange";
    this.#requests += 1;
    this.#keepAlive =
      head.keepAlive &&
      (limits.maxRequestsPerConnection === 0 || this.#requests < limits.maxRequestsPerConnection);
    this.#remaining = head.contentLength;
    const isSmall = head.contentLength > 0 && head.contentLength <= smallBodyBytes;
    const body = isSmall ? this.#reader.takeWhole(head.contentLength) : null;
    this.#isBodyDone = !head.hasBody || body !== null;
    if (head.isStreamed) {
      this.#decoder ??= new ChunkedDecoder();
      this.#decoder.reset();
    }
    this.#exchange.begin(body);
    // `begin` may have ended the exchange; then the connection closes, and the unread body goes with it.
    if (!this.#isBodyDone && this.#stage === "exchange") {
      const begun = this.#reader.takePending();
      if (begun !== null) this.#readBody(begun, 0);
    }
    return true;
  }

  /** Hands the socket to HTTP/2, if that is allowed and the client has not spoken HTTP/1.1 before. */
  #becomeHttp2(): boolean {
    const first = this.#reader.pending;
    // Over TLS, the handshake decides about HTTP/2 (RFC 9113 section 3.2).
    if (first === null || this.#requests > 0 || !this.#host.limits.http2 || this.tls !== null)
      return false;
    this.#reader.takePending();
    this.#stage = "closed";
    this.#deadline = 0;
    this.#socket.removeAllListeners("data");
    this.#host.beginHttp2(this, this.#socket, first, this.#client);
    return true;
  }

  #readBody(buffer: Buffer, from: number): void {
    let at: number;
    if (this.#head.isStreamed && this.#decoder !== null) {
      const decoder = this.#decoder;
      at = decoder.decode(buffer, from, this.#bodySink);
      if (this.#stage !== "exchange") return;
      if (decoder.error !== "") {
        this.#host.counters.countRefused("bad_chunk");
        this.#isBodyDone = true;
        this.#keepAlive = false;
        this.#exchange.onBroken(400, "bad_chunk", decoder.error);
        return;
      }
      if (decoder.isDone) {
        const { limits, counters } = this.#host;
        counters.droppedHeaders += oddTrailerNames(decoder.trailer, limits);
        this.#endBody(decoder.trailer);
      }
    } else {
      at = Math.min(buffer.length, from + this.#remaining);
      this.#remaining -= at - from;
      this.#onBodyPiece(buffer, from, at);
      if (this.#remaining === 0 && this.#stage === "exchange") this.#endBody("");
    }
    if (at < buffer.length && this.#stage !== "closing") {
      this.#keepAhead(at === 0 ? buffer : buffer.subarray(at));
      if (this.#stage === "idle" && !this.#isParsing) this.#read();
    }
  }

  #onBodyPiece(buffer: Buffer, from: number, to: number): void {
    // An earlier piece may have ended the exchange.
    if (this.#stage === "exchange" && !this.#exchange.onData(buffer, from, to))
      this.#reading.hold();
  }

  #endBody(trailer: string): void {
    this.#isBodyDone = true;
    this.#exchange.onEnd(trailer);
  }

  #onDrain(): void {
    this.#exchange.onDrain();
    if (this.#mayRead()) {
      this.resume();
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
        if (this.#isBodyDone && this.#host.limits.servesHalfClosed) this.#keepAlive = false;
        else this.destroy();
        break;
      case "tunnel":
        this.#exchange.onEnd("");
        break;
    }
  }

  #onClose(): void {
    this.#stage = "closed";
    this.#exchange.onGone();
    this.#host.remove(this);
  }

  /**
   * Closes after what was written. It does not reset a client that goes on sending before the client could read that.
   */
  #close(): void {
    this.#stage = "closing";
    this.#reader.takePending();
    this.resume();
    this.#awaitProgress();
    this.#socket.end(() => {
      this.#unsent = 0;
      this.#deadline = this.#host.clock.current + lingerMs;
      if (this.#hasEnded) this.destroy();
    });
  }
}
