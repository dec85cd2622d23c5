/**
 * One request on its stream to a peer that speaks HTTP/2, and the peer's answer. It reports what arrives, and
 * decides nothing about it.
 */
import type { PeerFailure } from "../../engine.ts";
import type { UpstreamRequest, UpstreamStream } from "../../exchange/ports.ts";
import { errorCode } from "../../http2/frames.ts";
import type { Http2Stream, StreamOwner } from "../../http2/stream.ts";
import { statusLine } from "../../message/answers.ts";
import { appendFields, linesOf } from "../../message/http2-fields.ts";
import type { PeerSession } from "./peer-session.ts";
import { requestFields } from "./request-fields.ts";

export class PeerStream implements UpstreamStream, StreamOwner {
  readonly isReused: boolean;
  hasAnswered = false;
  readonly #session: PeerSession;
  /** `null`: nothing more is reported. */
  #request: UpstreamRequest | null;
  /** `null` before the head is sent. */
  #stream: Http2Stream | null = null;
  /** Whether the whole request was given to be sent. */
  #isSent = false;

  constructor(session: PeerSession, request: UpstreamRequest, isReused: boolean) {
    this.#session = session;
    this.#request = request;
    this.isReused = isReused;
  }

  send(pieces: readonly Buffer[], isWhole: boolean, trailer: string): boolean {
    const request = this.#request;
    if (request === null) return true;
    const stream = this.#session.open(this);
    if (stream === null) {
      this.onClosed(errorCode.refusedStream);
      return true;
    }
    this.#stream = stream;
    const isEmpty = isWhole && pieces.length === 0 && trailer === "";
    this.#isSent = isEmpty;
    stream.isHeadRequest = request.head.method === "HEAD";
    stream.sendHead(requestFields(request, this.#session.scheme), isEmpty);
    let hasRoom = true;
    for (const piece of pieces) hasRoom = this.sendData(piece);
    if (isWhole && !isEmpty) this.sendEnd(trailer);
    return hasRoom;
  }

  sendData(piece: Buffer): boolean {
    return this.#stream === null || this.#stream.sendData(piece);
  }

  sendEnd(trailer: string): void {
    this.#isSent = true;
    this.#stream?.sendEnd(trailer === "" ? null : fieldsOf(trailer));
  }

  pause(): void {
    this.#stream?.hold();
  }

  resume(): void {
    this.#stream?.release();
  }

  abort(): void {
    this.#request = null;
    if (this.#stream === null) this.#session.onStreamOver();
    else this.#reset();
  }

  // Called by the stream.

  onHead(fields: readonly string[], isEnd: boolean): void {
    const request = this.#request;
    this.#session.onHeard();
    if (request === null) return;
    this.hasAnswered = true;
    const { answerHead } = request;
    const wrong = this.#read(request, fields);
    if (wrong !== "") {
      this.abort();
      request.onFailed({
        code: "bad_response",
        message: `${this.#session.peer.key}: ${wrong}`,
      });
    } else if (answerHead.status < 200) {
      request.onInterim();
    } else if (isEnd) {
      if (answerHead.isStreamed) {
        answerHead.framing = "none";
        answerHead.contentLength = 0;
      }
      this.#take()?.onAnswer("");
    } else {
      request.onHead(false);
    }
  }

  onData(buffer: Buffer, from: number, to: number): void {
    this.#session.onHeard();
    this.#request?.onAnswerData(buffer, from, to);
  }

  onEnd(trailer: readonly string[]): void {
    this.#session.onHeard();
    this.#take()?.onAnswerEnd(trailer.length === 0 ? "" : linesOf(trailer, 0));
  }

  onDrain(): void {
    this.#request?.onPeerDrain();
  }

  onClosed(code: number): void {
    const request = this.#request;
    this.#request = null;
    this.#session.onStreamOver();
    if (request === null) return;
    // Servers on Node.js now and then send this reset in the place of the end. Nobody says of half an answer that there
    // was no error.
    const stream = this.#stream;
    if (code === errorCode.noError && stream?.hasReceivedHead && !stream.lacksContent) {
      request.onAnswerEnd("");
    } else {
      request.onFailed(this.#failure(code));
    }
  }

  /** Reads a head into the request's `answerHead`. Returns what is wrong with it; empty when nothing is. */
  #read({ answerHead, head }: UpstreamRequest, fields: readonly string[]): string {
    // The first field is the status; that it is one has been checked.
    const text = `HTTP/1.1 ${statusLine(Number(fields[1]))}${linesOf(fields, 2)}\r\n`;
    const { maxHeadBytes } = this.#session.limits;
    if (text.length > maxHeadBytes) return `the answer's head is longer than ${maxHeadBytes} bytes`;
    return answerHead.read(text, text.length, head.method);
  }

  /** Ends the stream for its request. The rest of the request's body need not be sent. */
  #take(): UpstreamRequest | null {
    const request = this.#request;
    this.#request = null;
    if (!this.#isSent) this.#reset();
    return request;
  }

  /** The code says whether the peer has got the whole request. */
  #reset(): void {
    this.#stream?.reset(this.#isSent ? errorCode.cancel : errorCode.internalError);
  }

  #failure(code: number): PeerFailure {
    const session = this.#session;
    const { peer } = session;
    if (code === errorCode.refusedStream && !this.hasAnswered) {
      return { code: "refused", message: `${peer.key} did not take the request` };
    }
    const fault = this.#stream?.fault ?? "";
    if (fault !== "") return { code: "bad_response", message: `${peer.key}: ${fault}` };
    // Another stream's answer may have broken the connection.
    const isOwn = code === errorCode.protocolError && !session.isBroken;
    return {
      code: isOwn ? "bad_response" : "reset",
      message: `${peer.key} gave no whole answer: ${session.whyEnded(code)}`,
    };
  }
}

function fieldsOf(lines: string): readonly string[] {
  const fields: string[] = [];
  appendFields(fields, lines);
  return fields;
}
