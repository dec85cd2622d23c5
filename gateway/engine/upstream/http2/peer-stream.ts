/**
 * One request on its stream to a peer that speaks HTTP/2, and the peer's answer. It reports what arrives, and
 * decides nothing about it.
 */
import type { ClientHttp2Stream } from "node:http2";
import type { PeerFailure } from "../../engine.ts";
import type { UpstreamRequest, UpstreamStream } from "../../exchange/ports.ts";
import { statusLine } from "../../message/answers.ts";
import { fieldsObject, linesOf } from "../../message/http2-fields.ts";
import type { PeerSession } from "./peer-session.ts";
import { requestFields } from "./request-fields.ts";

/** Numbers of HTTP/2 (RFC 9113 sections 6 and 7). */
const endStreamFlag = 0x1;
const protocolError = 0x1;
const refusedStream = 0x7;
const cancel = 0x8;

/** The rest of the request will not come: the peer is told INTERNAL_ERROR. */
const cutOff = new Error("the request is cut off");

export class PeerStream implements UpstreamStream {
  readonly isReused: boolean;
  hasAnswered = false;
  readonly #session: PeerSession;
  /** `null`: nothing more is reported. */
  #request: UpstreamRequest | null;
  /** `null` before the head is sent. */
  #stream: ClientHttp2Stream | null = null;
  /** Whether the peer has been sent the whole request. */
  #isSent = false;
  #requestTrailer = "";
  /** The answer's trailer as field lines, and how many bytes of its body have come. */
  #trailer = "";
  #received = 0;

  constructor(session: PeerSession, request: UpstreamRequest, isReused: boolean) {
    this.#session = session;
    this.#request = request;
    this.isReused = isReused;
  }

  send(pieces: readonly Buffer[], isWhole: boolean, trailer: string): boolean {
    const request = this.#request;
    if (request === null) return true;
    const isEmpty = isWhole && pieces.length === 0 && trailer === "";
    const waitForTrailers = !isEmpty && request.isStreamed && request.trailers !== null;
    const fields = requestFields(request, this.#session.scheme);
    const stream = this.#session.open(fields, { endStream: isEmpty, waitForTrailers });
    if (stream === null) {
      this.#onClose(null);
      return true;
    }
    this.#stream = stream;
    this.#listen(stream, waitForTrailers);
    let hasRoom = true;
    for (const piece of pieces) hasRoom = this.sendData(piece);
    if (isEmpty) this.#isSent = true;
    else if (isWhole) this.sendEnd(trailer);
    return hasRoom;
  }

  sendData(piece: Buffer): boolean {
    const stream = this.#stream;
    return stream === null || stream.destroyed || stream.write(piece);
  }

  sendEnd(trailer: string): void {
    this.#isSent = true;
    this.#requestTrailer = trailer;
    this.#stream?.end();
  }

  pause(): void {
    this.#stream?.pause();
  }

  resume(): void {
    this.#stream?.resume();
  }

  abort(): void {
    this.#request = null;
    const stream = this.#stream;
    if (stream === null) this.#session.onStreamOver();
    // If this closed with a code, Node might send the stream's end before the reset, and half a request would look
    // whole.
    else if (this.#isSent) stream.close(cancel);
    else stream.destroy(cutOff);
  }

  #listen(stream: ClientHttp2Stream, waitForTrailers: boolean): void {
    stream.on("headers", (_fields, _flags, raw) => this.#onInterim(raw));
    stream.on("response", (_fields, flags, raw) => this.#onHead(flags, raw));
    stream.on("data", (piece: Buffer) => {
      this.#session.onHeard();
      this.#received += piece.length;
      this.#request?.onAnswerData(piece, 0, piece.length);
    });
    stream.on("trailers", (_fields, _flags, raw) => {
      this.#trailer = linesOf(raw);
    });
    stream.on("end", () => this.#onEnd(stream));
    stream.on("drain", () => this.#request?.onPeerDrain());
    if (waitForTrailers) {
      stream.on("wantTrailers", () => stream.sendTrailers(fieldsObject(this.#requestTrailer)));
    }
    // The stream's `close` reports the failure; without a listener, `error` would end the process.
    stream.on("error", () => {});
    stream.on("close", () => this.#onClose(stream));
  }

  #onInterim(raw: readonly string[]): void {
    const request = this.#request;
    if (request === null || !this.#read(request, raw)) return;
    request.onInterim();
  }

  #onHead(flags: number, raw: readonly string[]): void {
    const request = this.#request;
    if (request === null || !this.#read(request, raw)) return;
    const { answerHead } = request;
    if ((flags & endStreamFlag) === 0) {
      request.onHead(false);
      return;
    }
    if (answerHead.isStreamed) {
      answerHead.framing = "none";
      answerHead.contentLength = 0;
    }
    this.#take()?.onAnswer("");
  }

  /** Node also emits `end` when the stream was reset or its connection has gone; then `close` reports it. */
  #onEnd(stream: ClientHttp2Stream): void {
    const request = this.#request;
    if (request === null || !this.hasAnswered || stream.rstCode) return;
    const { framing, contentLength } = request.answerHead;
    if (framing === "length" && this.#received < contentLength) return;
    this.#take()?.onAnswerEnd(this.#trailer);
  }

  /**
   * Reads a head into the request's `answerHead`. Returns false when it is invalid; the request has been told by
   * then.
   */
  #read(request: UpstreamRequest, raw: readonly string[]): boolean {
    const { answerHead, head } = request;
    this.#session.onHeard();
    this.hasAnswered = true;
    // Pseudo-fields come first, and an answer has exactly one (RFC 9113 section 8.3.2); nghttp2 has checked both.
    const status = Number(raw[1]);
    const text = `HTTP/1.1 ${statusLine(status)}${linesOf(raw.slice(2))}\r\n`;
    const { maxHeadBytes } = this.#session.limits;
    const wrong =
      text.length > maxHeadBytes
        ? `the answer's head is longer than ${maxHeadBytes} bytes`
        : answerHead.read(text, text.length, head.method);
    if (wrong === "") return true;
    this.#fail({ code: "bad_response", message: `${this.#session.peer.key}: ${wrong}` });
    return false;
  }

  #fail(failure: PeerFailure): void {
    const request = this.#request;
    this.abort();
    request?.onFailed(failure);
  }

  /** Ends the stream for its request. The rest of the request's body need not be sent. */
  #take(): UpstreamRequest | null {
    const request = this.#request;
    this.#request = null;
    if (!this.#isSent) this.#stream?.destroy(cutOff);
    return request;
  }

  #onClose(stream: ClientHttp2Stream | null): void {
    const request = this.#request;
    this.#request = null;
    this.#session.onStreamOver();
    if (request === null) return;
    const { key } = this.#session.peer;
    const code = stream?.rstCode ?? refusedStream;
    if (code === refusedStream && !this.hasAnswered) {
      request.onFailed({ code: "refused", message: `${key} did not take the request` });
      return;
    }
    request.onFailed({
      code: code === protocolError ? "bad_response" : "reset",
      message: `${key} gave no whole answer: ${this.#session.whyEnded(code)}`,
    });
  }
}
