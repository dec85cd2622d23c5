/**
 * One stream of a connection, in either role: its state (RFC 9113 section 5.1), its windows, and what waits to be
 * sent on it. What the fields mean is its owner's affair.
 */

import { Gatherer } from "../gatherer.ts";
import type { FrameWriter } from "./frame-writer.ts";
import { errorCode, frameFlag, frameType, maxFrameBytes, maxWindowBytes } from "./frames.ts";

/** Bytes that may wait on one stream before its owner is told that there is no room. */
const fullBytes = 65_536;

/**
 * Who is told what happens on a stream. All calls are synchronous; the stream's state is in order before each of them.
 * `fields`: names and values alternately, latin1 text, well-formed; the list is used again after the call.
 */
export interface StreamOwner {
  /** The head of an answer came, perhaps an interim one; `isEnd`: nothing follows. Not called on a server's streams. */
  onHead(fields: readonly string[], isEnd: boolean): void;
  /**
   * Content came: `buffer[from, to)`. Also comes while the stream is held, as far as the other side had leave to send.
   */
  onData(buffer: Buffer, from: number, to: number): void;
  /** The other side sends nothing more. `trailer` is empty when none came. Not called after a head with `isEnd`. */
  onEnd(trailer: readonly string[]): void;
  /** `sendData` returned false, and there is room now. */
  onDrain(): void;
  /**
   * The stream is over, and nothing more is called or sent. `code`: NO_ERROR when both sides ended it; otherwise the
   * code of RST_STREAM or GOAWAY, from whichever side, or CANCEL when the connection was lost.
   */
  onClosed(code: number): void;
}

/** The connection, as its streams see it. */
export interface StreamHost {
  /** What the connection's own window has room for. */
  window: number;
  readonly streamWindowBytes: number;
  /** Where to write frames now. */
  readonly out: FrameWriter;
  /** Whether the socket takes more content. */
  readonly hasRoom: boolean;
  encode(fields: readonly string[]): void;
  /** Writes content behind the header of its frame. */
  content(piece: Buffer, from: number, to: number): void;
  /** The stream has content to send, and its window has room. */
  queue(stream: Http2Stream): void;
  /** So many bytes were read, and the other side may send as many more on the connection. */
  credit(bytes: number): void;
  /** Whether a held stream keeps the connection's window closed too. */
  readonly withholds: boolean;
  /** `byUs`: what comes for it after this was sent before the other side knew. */
  onStreamClosed(stream: Http2Stream, byUs: boolean): void;
}

/** What follows the content that waits. */
type Ending = "open" | "end" | "trailer" | "reset" | "done";

export class Http2Stream {
  readonly id: number;
  /** Who is told; set before anything can happen on the stream. */
  owner: StreamOwner;
  /** Content that was given to be sent and is not written yet. */
  unsentBytes = 0;
  /** Whether END_STREAM came. */
  isReceived = false;
  /** Whether END_STREAM was written. */
  isSent = false;
  isClosed = false;
  /** Whether a head other than an interim one was written. */
  hasSentHead = false;
  /** Client's side: whether the final head of the answer came. */
  hasReceivedHead = false;
  /** Client's side: whether the answer has no content whatever it says, because the request is HEAD. */
  isHeadRequest = false;
  /** Whether the connection has it in its list of streams that have something to send. */
  isQueued = false;
  /** What the other side did wrong on this stream; empty: nothing. */
  fault = "";
  /** Server's side: the protocol that an extended CONNECT asks for (RFC 8441); empty for any other request. */
  protocol = "";
  /** How long the content has to be that comes; -1: unknown. */
  expectedBytes = -1;
  readonly #host: StreamHost;
  /** How much may be sent. Negative after a setting made it smaller (RFC 9113 section 6.9.2). */
  #window: number;
  /** How much the other side may send, and how much of what it sent was read without its being told. */
  #allowance: number;
  #read = 0;
  /** Received while held: counts as read once it is released. */
  #withheld = 0;
  #isHeld = false;
  #isUnwanted = false;
  #receivedBytes = 0;
  #pieces: Buffer[] | null = null;
  #gatherer: Gatherer | null = null;
  /** How much of the first piece is written. */
  #offset = 0;
  #ending: Ending = "open";
  #trailer: readonly string[] | null = null;
  #resetCode = 0;
  #isFull = false;

  constructor(host: StreamHost, id: number, owner: StreamOwner, window: number) {
    this.#host = host;
    this.id = id;
    this.owner = owner;
    this.#window = window;
    this.#allowance = host.streamWindowBytes;
  }

  // Called by the owner.

  /** Sends a head: names and values alternately, names in lower case. `isInterim`: another one follows. */
  sendHead(fields: readonly string[], isEnd: boolean, isInterim = false): void {
    if (this.isClosed || this.#ending !== "open") return;
    if (!isInterim) this.hasSentHead = true;
    this.#writeHeaders(fields, isEnd);
    if (isEnd) this.#onSent();
  }

  /** Sends content; `piece` is never empty and is not changed later. Returns false when there is no room. */
  sendData(piece: Buffer): boolean {
    if (this.isClosed || this.#ending !== "open") return true;
    this.#append(piece);
    this.#isFull = this.unsentBytes >= fullBytes;
    return !this.#isFull;
  }

  /** Sends content, latin1 text, and ends this side. */
  sendText(text: string): void {
    if (this.isClosed || this.#ending !== "open") return;
    const { length } = text;
    const host = this.#host;
    const fits = length <= maxFrameBytes && length <= this.#window && length <= host.window;
    if (this.#pieces !== null || !fits || !host.hasRoom) {
      this.#append(Buffer.from(text, "latin1"));
      this.sendEnd(null);
      return;
    }
    this.#window -= length;
    host.window -= length;
    host.out.frameHeader(length, frameType.data, frameFlag.endStream, this.id);
    host.out.text(text);
    this.#onSent();
  }

  /** Ends this side when everything is sent, with a trailer unless it is `null`. */
  sendEnd(trailer: readonly string[] | null): void {
    if (this.isClosed || this.#ending !== "open") return;
    this.#trailer = trailer;
    this.#ending = trailer === null ? "end" : "trailer";
    if (this.#pieces === null) this.#writeEnding();
  }

  /** Ends both sides at once. What waits is dropped. */
  reset(code: number): void {
    if (this.isClosed) return;
    this.#host.out.rstStream(this.id, code);
    this.close(code, true);
  }

  /** Ends both sides when what waits is sent. */
  resetAfterContent(code: number): void {
    if (this.isClosed || this.isSent) return;
    this.#ending = "reset";
    this.#resetCode = code;
    if (this.#pieces === null) this.#writeEnding();
  }

  /** The other side may send no more than it has leave for already. */
  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    const bytes = this.#withheld;
    this.#withheld = 0;
    if (bytes > 0) this.#credit(bytes, this.#host.withholds);
  }

  /**
   * Nothing more is read: content that still comes is thrown away, and once this side has ended, the other one is asked
   * to stop (RFC 9113 section 8.1).
   */
  stopReading(): void {
    if (this.isClosed || this.isReceived) return;
    this.#isUnwanted = true;
    this.#host.credit(this.#host.withholds ? this.#withheld : 0);
    this.#withheld = 0;
    if (this.isSent) this.reset(errorCode.noError);
  }

  // Called by the connection.

  /** Returns false when more comes than the window has room for. */
  takeLeave(bytes: number): boolean {
    this.#allowance -= bytes;
    return this.#allowance >= 0;
  }

  /** Returns what is wrong with the content; empty when nothing is. */
  receive(buffer: Buffer, from: number, to: number): string {
    this.#receivedBytes += to - from;
    if (this.expectedBytes !== -1 && this.#receivedBytes > this.expectedBytes)
      return "more content than content-length says";
    if (!this.#isUnwanted) this.owner.onData(buffer, from, to);
    return "";
  }

  /** A DATA frame is over, and so many bytes of the window are used. */
  onFrameRead(bytes: number): void {
    const { withholds } = this.#host;
    if (this.isClosed || this.#isUnwanted) this.#host.credit(bytes);
    else if (this.#isHeld) {
      this.#withheld += bytes;
      if (!withholds) this.#host.credit(bytes);
    } else this.#credit(bytes, true);
  }

  /** Whether less content has come than the head says. */
  get lacksContent(): boolean {
    return this.expectedBytes !== -1 && this.#receivedBytes !== this.expectedBytes;
  }

  /** END_STREAM came. Returns what is wrong with that; empty when nothing is. */
  receiveEnd(trailer: readonly string[]): string {
    if (this.lacksContent) return "less content than content-length says";
    this.isReceived = true;
    if (!this.#isUnwanted) this.owner.onEnd(trailer);
    this.closeIfOver();
    return "";
  }

  /** The window grows, or shrinks with a setting. Returns false when it would be too large. */
  openWindow(bytes: number): boolean {
    this.#window += bytes;
    if (this.#window > maxWindowBytes) return false;
    if (this.#pieces !== null && this.#window > 0) this.#host.queue(this);
    return true;
  }

  /** Writes one frame of what waits. The stream's window and the connection's have room. */
  sendNext(): void {
    const pieces = this.#pieces;
    const piece = pieces?.[0];
    if (pieces === null || piece === undefined || this.#window <= 0) return;
    const host = this.#host;
    const from = this.#offset;
    const length = Math.min(piece.length - from, maxFrameBytes, this.#window, host.window);
    this.#window -= length;
    host.window -= length;
    this.unsentBytes -= length;
    const isWhole = from + length === piece.length;
    const isLast = isWhole && pieces.length === 1;
    const endsHere = isLast && this.#ending === "end";
    host.out.frameHeader(length, frameType.data, endsHere ? frameFlag.endStream : 0, this.id);
    host.content(piece, from, from + length);
    this.#offset = isWhole ? 0 : from + length;
    if (isLast) this.#pieces = null;
    else if (isWhole) pieces.shift();
    if (endsHere) this.#onSent();
    else if (isLast) this.#writeEnding();
    else if (this.#window > 0) host.queue(this);
    if (this.#isFull && this.unsentBytes < fullBytes / 2 && !this.isClosed) {
      this.#isFull = false;
      this.owner.onDrain();
    }
  }

  /** The stream is over: `byUs` when this side reset it. */
  close(code: number, byUs: boolean): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#pieces = null;
    this.unsentBytes = 0;
    const host = this.#host;
    if (host.withholds && this.#withheld > 0) host.credit(this.#withheld);
    host.onStreamClosed(this, byUs);
    this.owner.onClosed(code);
  }

  closeIfOver(): void {
    if (this.isSent && this.isReceived) this.close(errorCode.noError, false);
  }

  #append(piece: Buffer): void {
    this.unsentBytes += piece.length;
    if (this.#pieces === null) this.#pieces = [piece];
    else {
      this.#gatherer ??= new Gatherer();
      this.#gatherer.add(this.#pieces, piece);
    }
    if (this.#window > 0) this.#host.queue(this);
  }

  #writeHeaders(fields: readonly string[], isEnd: boolean): void {
    const { out } = this.#host;
    const start = out.beginHeaders();
    this.#host.encode(fields);
    out.endHeaders(start, this.id, isEnd);
  }

  #writeEnding(): void {
    switch (this.#ending) {
      case "end":
        this.#host.out.frameHeader(0, frameType.data, frameFlag.endStream, this.id);
        this.#onSent();
        break;
      case "trailer":
        this.#writeHeaders(this.#trailer ?? [], true);
        this.#onSent();
        break;
      case "reset":
        this.reset(this.#resetCode);
        break;
    }
  }

  #onSent(): void {
    this.#ending = "done";
    this.isSent = true;
    if (this.#isUnwanted && !this.isReceived) this.reset(errorCode.noError);
    else this.closeIfOver();
  }

  #credit(bytes: number, alsoConnection: boolean): void {
    const host = this.#host;
    if (alsoConnection) host.credit(bytes);
    this.#read += bytes;
    if (this.isReceived || this.isClosed || this.#read < host.streamWindowBytes / 2) return;
    host.out.windowUpdate(this.id, this.#read);
    this.#allowance += this.#read;
    this.#read = 0;
  }
}
