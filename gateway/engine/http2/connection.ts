/**
 * One connection that speaks HTTP/2, in either role: frames in, frames out, settings, the connection's windows, its
 * end, and the bounds on what costs work and moves nothing. Its streams are in `stream.ts`.
 */
import type { Duplex } from "node:stream";
import type { Clock } from "../clock.ts";
import { FieldRules } from "./field-rules.ts";
import { type FloodKind, Floods } from "./floods.ts";
import { FrameReader, type FrameSink } from "./frame-reader.ts";
import type { FrameWriter } from "./frame-writer.ts";
import {
  errorCode,
  frameFlag,
  frameType,
  initialWindowBytes,
  maxFrameBytes,
  maxStreamId,
  maxWindowBytes,
  preface,
  setting,
} from "./frames.ts";
import { HeadBlock, type HeadFault } from "./head-block.ts";
import { HpackDecoder } from "./hpack/decoder.ts";
import { HpackEncoder } from "./hpack/encoder.ts";
import { Outlet } from "./outlet.ts";
import { RecentResets } from "./recent-resets.ts";
import { Http2Stream, type StreamHost, type StreamOwner } from "./stream.ts";
import type { WriteTurn } from "./write-turn.ts";

/** What the other side did to have the connection ended: broke the protocol, or sent too many frames of a kind. */
export type BreakCause = "protocol" | "continuation" | FloodKind;

/** Who is told what happens on a connection. All calls are synchronous. */
export interface ConnectionOwner {
  /**
   * Server's side: a request came. The owner of its stream is set before this returns. `fields`: see `StreamOwner`;
   * `isEnd`: nothing follows.
   */
  onRequest(stream: Http2Stream, fields: readonly string[], isEnd: boolean): void;
  /** SETTINGS came and are in force; the first ones begin the connection. */
  onSettings(): void;
  /** The other side takes no streams above `lastStream`. Those of ours have been closed with REFUSED_STREAM. */
  onGoaway(lastStream: number, code: number): void;
  /** The last ping was answered. */
  onPong(): void;
  /**
   * The connection ended with an error of the other side. All streams are closed, GOAWAY is written, and the socket's
   * side is ended; the owner destroys the socket after a while.
   */
  onBroken(cause: BreakCause, why: string): void;
  /** The socket is closed. All streams were told. */
  onClose(): void;
}

export interface ConnectionOptions {
  readonly role: "client" | "server";
  readonly clock: Clock;
  readonly turn: WriteTurn;
  /** Streams that the other side may have open at once; a client's connection allows none. */
  readonly maxStreams: number;
  /** What the other side may send before it is read, on each stream and on all of them. */
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
  /** Whether streams that are held keep the connection's window closed too. */
  readonly withholds: boolean;
  /** The largest head, as RFC 9113 section 6.5.2 counts it, and its largest number of fields. */
  readonly maxListBytes: number;
  readonly maxFields: number;
  /** Whether the socket speaks TLS, and so writes at a later time whatever it is given. */
  readonly isEncrypted: boolean;
}

/** Beyond this, a connection that does not take what was written to it is not read any more. */
const deafBytes = 524_288;
/** HPACK's table has this size unless a setting changes it (RFC 9113 section 6.5.2). */
const tableBytes = 4_096;

const noFields: readonly string[] = [];
const behindEnd = "a frame behind the end of the stream";
/** The content of a ping does not matter, since only one is under way. */
const pingContent = Buffer.alloc(8);

export class Http2Connection implements FrameSink, StreamHost {
  readonly streamWindowBytes: number;
  readonly withholds: boolean;
  /** How many streams the other side allows at once; `null`: it has not said. */
  remoteMaxStreams: number | null = null;
  /** Whether the other side has sent its settings, with which HTTP/2 begins. */
  hasSettings = false;
  /** How the other side broke the protocol, and so ended the connection; empty: it did not. */
  fault = "";
  readonly #socket: Duplex;
  readonly #owner: ConnectionOwner;
  readonly #options: ConnectionOptions;
  readonly #isServer: boolean;
  readonly #outlet: Outlet;
  readonly #reader = new FrameReader(this);
  readonly #rules = new FieldRules();
  readonly #decoder: HpackDecoder;
  readonly #encoder = new HpackEncoder();
  readonly #floods = new Floods();
  readonly #streams = new Map<number, Http2Stream>();
  /** A server's: a client opened all streams itself, and knows which there were. */
  readonly #resets: RecentResets;
  readonly #head: HeadBlock;
  readonly #fields: string[] = [];
  #prefaceLeft: number;
  #hasAck = false;
  /** The last stream that the other side opened, and the last that was served. */
  #lastRemote = 0;
  #lastServed = 0;
  #nextLocal = 1;
  /** The windows that the other side gives to new streams. */
  #remoteWindow: number = initialWindowBytes;
  /** What the other side may send on the connection, and what of that was read without its being told. */
  #allowance: number;
  #read = 0;
  /** The stream of a DATA frame that has begun; `null`: its content is thrown away. */
  #dataStream: Http2Stream | null = null;
  #dataLength = 0;
  #dataEnds = false;
  #isDataLate = false;
  #hasContent = false;
  /** `last`: GOAWAY has named the last stream that is served. `over`: the connection ended with an error. */
  #stage: "open" | "announced" | "last" | "over" = "open";
  #isDeaf = false;

  /** Writes the preface or the settings. `start` begins to read. */
  constructor(socket: Duplex, owner: ConnectionOwner, options: ConnectionOptions) {
    const { role, maxListBytes, maxFields, connectionWindowBytes } = options;
    this.#socket = socket;
    this.#owner = owner;
    this.#options = options;
    this.#isServer = role === "server";
    this.#prefaceLeft = this.#isServer ? preface.length : 0;
    this.streamWindowBytes = options.streamWindowBytes;
    this.withholds = options.withholds;
    this.#allowance = connectionWindowBytes;
    this.#outlet = new Outlet(socket, options.turn, options.isEncrypted);
    this.#decoder = new HpackDecoder(tableBytes, maxListBytes, maxFields);
    this.#head = new HeadBlock(maxListBytes);
    this.#resets = new RecentResets(options.maxStreams);
    const { out } = this.#outlet;
    if (!this.#isServer) out.bytes(preface, 0, preface.length);
    out.settings([
      ...(this.#isServer
        ? [setting.maxConcurrentStreams, options.maxStreams, setting.enableConnectProtocol, 1]
        : [setting.enablePush, 0]),
      ...[setting.maxHeaderListSize, maxListBytes],
      ...(this.streamWindowBytes === initialWindowBytes
        ? []
        : [setting.initialWindowSize, this.streamWindowBytes]),
    ]);
    if (connectionWindowBytes > initialWindowBytes)
      out.windowUpdate(0, connectionWindowBytes - initialWindowBytes);
  }

  /** Reads the socket from now on. `first`: bytes that were read from it before; may be empty. */
  start(first: Buffer): void {
    const socket = this.#socket;
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    socket.on("drain", () => this.#onDrain());
    // Who closes its side counts as gone: it could not even acknowledge what it gets.
    socket.on("end", () => socket.destroy());
    // `close` always follows.
    socket.on("error", () => {});
    socket.on("close", () => this.#onClose());
    if (first.length > 0) this.#onData(first);
  }

  /** Streams that are not over. */
  get size(): number {
    return this.#streams.size;
  }

  /** Whether the other side takes the frames that no window holds back. */
  get hasRoom(): boolean {
    return this.#outlet.hasRoom;
  }

  // Called by the owner.

  /** Client's side: opens a stream; its head is sent next. `null`: no stream can be opened any more. */
  open(owner: StreamOwner): Http2Stream | null {
    if (this.#stage === "over" || this.#nextLocal > maxStreamId || this.#socket.destroyed)
      return null;
    const stream = new Http2Stream(this, this.#nextLocal, owner, this.#remoteWindow);
    this.#nextLocal += 2;
    this.#streams.set(stream.id, stream);
    return stream;
  }

  ping(): void {
    if (this.#stage !== "over") this.#outlet.out.ping(pingContent, 0, false);
  }

  /**
   * Server's side: says that the connection will end, and takes streams until `end` (RFC 9113 section 6.8). The
   * ping's answer tells that the other side knows.
   */
  announceEnd(): void {
    if (this.#stage !== "open") return;
    this.#stage = "announced";
    this.#outlet.out.goaway(maxStreamId, errorCode.noError, "");
    this.ping();
  }

  /** Takes no more streams of the other side, tells it so, and ends the connection when the others are over. */
  end(): void {
    if (this.#stage === "last" || this.#stage === "over") return;
    this.#stage = "last";
    this.#outlet.out.goaway(this.#lastServed, errorCode.noError, "");
    if (this.#streams.size === 0) this.#finish();
  }

  /** Ends the connection and all its streams with an error. */
  fail(code: number, why: string): void {
    if (this.#stage === "over") return;
    this.#stage = "over";
    this.#reader.isStopped = true;
    this.#outlet.out.goaway(this.#lastServed, code, why);
    this.#closeStreams(code);
    this.#finish();
  }

  // Called by the streams.

  get window(): number {
    return this.#outlet.window;
  }

  set window(bytes: number) {
    this.#floods.onSent(this.#outlet.window - bytes);
    this.#outlet.window = bytes;
  }

  get out(): FrameWriter {
    return this.#outlet.out;
  }

  encode(fields: readonly string[]): void {
    this.#encoder.encode(fields, this.#outlet.out);
  }

  content(piece: Buffer, from: number, to: number): void {
    this.#outlet.content(piece, from, to);
  }

  queue(stream: Http2Stream): void {
    this.#outlet.queue(stream);
  }

  credit(bytes: number): void {
    this.#read += bytes;
    if (this.#read < this.#options.connectionWindowBytes / 2 || this.#stage === "over") return;
    this.#outlet.out.windowUpdate(0, this.#read);
    this.#allowance += this.#read;
    this.#read = 0;
  }

  onStreamClosed(stream: Http2Stream, byUs: boolean): void {
    this.#streams.delete(stream.id);
    this.#outlet.unqueue(stream);
    if (this.#dataStream === stream) this.#dataStream = null;
    if (byUs && this.#isServer) this.#resets.add(stream.id);
    if (this.#stage === "last" && this.#streams.size === 0) this.#finish();
  }

  // Called by the reader.

  onDataBegin(flags: number, id: number, length: number): void {
    this.#dataStream = null;
    this.#isDataLate = false;
    this.#dataLength = length;
    this.#dataEnds = (flags & frameFlag.endStream) !== 0;
    if (!this.#mayCome(frameType.data)) return;
    this.#allowance -= length;
    if (this.#allowance < 0) {
      this.#break(errorCode.flowControlError, "protocol", "more content than the window allows");
      return;
    }
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      this.#isDataLate = this.#mayBeLate(id);
      this.#onLateFrame(id, "DATA");
      if (this.#dataEnds) this.#resets.delete(id);
      return;
    }
    if (stream.isReceived || (!this.#isServer && !stream.hasReceivedHead)) {
      if (stream.isReceived) this.#resetStream(stream, errorCode.streamClosed, behindEnd);
      else this.#resetStream(stream, errorCode.protocolError, "content before its head");
    } else if (!stream.takeLeave(length)) {
      const why = "more content than the stream's window allows";
      this.#resetStream(stream, errorCode.flowControlError, why);
    } else {
      this.#dataStream = stream;
    }
  }

  onDataPiece(buffer: Buffer, from: number, to: number): void {
    const stream = this.#dataStream;
    if (stream === null) return;
    this.#hasContent = true;
    const wrong = stream.receive(buffer, from, to);
    if (wrong !== "") this.#resetStream(stream, errorCode.protocolError, wrong);
  }

  onDataEnd(): void {
    const stream = this.#dataStream;
    this.#dataStream = null;
    const hadContent = this.#hasContent;
    this.#hasContent = false;
    if (stream === null) {
      this.credit(this.#dataLength);
      if (this.#isDataLate) {
        if (this.#dataLength === 0 && !this.#dataEnds) this.#count("empty");
      } else if (!hadContent) this.#count("ignored");
      return;
    }
    if (this.#dataEnds) {
      this.#onStreamEnd(stream, noFields);
    } else if (!hadContent && this.#count("empty")) return;
    stream.onFrameRead(this.#dataLength);
  }

  onFrame(type: number, flags: number, id: number, buffer: Buffer, from: number, to: number): void {
    if (!this.#mayCome(type, flags)) return;
    switch (type) {
      case frameType.headers:
        this.#onHeadFrame(this.#head.begin(flags, id, buffer, from, to));
        break;
      case frameType.continuation:
        this.#onHeadFrame(this.#head.append(flags, id, buffer, from, to));
        break;
      case frameType.priority:
        this.#onPriority(id, buffer, from, to);
        break;
      case frameType.rstStream:
        this.#onRstStream(id, buffer, from, to);
        break;
      case frameType.settings:
        this.#onSettings(flags, id, buffer, from, to);
        break;
      case frameType.ping:
        this.#onPing(flags, id, buffer, from, to);
        break;
      case frameType.goaway:
        this.#onGoaway(id, buffer, from, to);
        break;
      case frameType.windowUpdate:
        this.#onWindowUpdate(id, buffer, from, to);
        break;
      case frameType.pushPromise:
        this.#break(errorCode.protocolError, "protocol", "PUSH_PROMISE, which was not allowed");
        break;
      default:
        this.#count("ignored");
    }
  }

  onBadFrame(code: number, why: string): void {
    this.#break(code, "protocol", why);
  }

  /** Settings begin a connection, and nothing comes between the fragments of a head. */
  #mayCome(type: number, flags = 0): boolean {
    if (this.#head.isOpen && type !== frameType.continuation) {
      this.#break(errorCode.protocolError, "protocol", "another frame within a head");
      return false;
    }
    if (this.hasSettings) return true;
    if (type === frameType.settings && (flags & frameFlag.ack) === 0) return true;
    this.#break(errorCode.protocolError, "protocol", "the first frame is no SETTINGS frame");
    return false;
  }

  #onData(chunk: Buffer): void {
    this.#outlet.beginBatch();
    const from = this.#prefaceLeft > 0 ? this.#readPreface(chunk) : 0;
    this.#reader.read(chunk, from);
    this.#outlet.endBatch();
    if (this.#isDeaf || this.#socket.writableLength <= deafBytes) return;
    this.#isDeaf = true;
    this.#socket.pause();
  }

  #readPreface(chunk: Buffer): number {
    const start = preface.length - this.#prefaceLeft;
    const length = Math.min(chunk.length, this.#prefaceLeft);
    if (preface.compare(chunk, 0, length, start, start + length) !== 0)
      this.#break(errorCode.protocolError, "protocol", "the preface is malformed");
    this.#prefaceLeft -= length;
    return length;
  }

  #onDrain(): void {
    this.#outlet.flush();
    if (!this.#isDeaf || this.#socket.writableLength > deafBytes) return;
    this.#isDeaf = false;
    this.#socket.resume();
  }

  #onClose(): void {
    this.#stage = "over";
    this.#reader.isStopped = true;
    this.#closeStreams(errorCode.cancel);
    this.#outlet.close();
    this.#owner.onClose();
  }

  #onHeadFrame(fault: HeadFault | null): void {
    if (fault !== null) this.#break(fault.code, fault.cause, fault.why);
    else if (!this.#head.isOpen) this.#onHead();
  }

  /** A head is complete. Whatever becomes of it, it has to be decoded, because it changes HPACK's table. */
  #onHead(): void {
    const head = this.#head;
    const fields = this.#fields;
    fields.length = 0;
    const outcome = this.#decoder.decode(head.buffer, head.from, head.to, fields);
    head.clear();
    if (outcome === "broken") {
      this.#break(errorCode.compressionError, "protocol", "a head that HPACK cannot read");
      return;
    }
    const id = head.stream;
    const stream = this.#streams.get(id);
    let code: number = errorCode.noError;
    if (outcome === "too_large") code = errorCode.enhanceYourCalm;
    else if (outcome === "malformed" || head.dependsOnItself) code = errorCode.protocolError;
    if (stream === undefined) this.#onOpening(id, code);
    else if (stream.isReceived) this.#resetStream(stream, errorCode.streamClosed, behindEnd);
    else if (outcome === "too_large") this.#resetStream(stream, code, "a head that is too large");
    else if (code !== errorCode.noError) this.#resetStream(stream, code, "a malformed field");
    else if (this.#isServer || stream.hasReceivedHead) this.#onTrailer(stream);
    else this.#onAnswerHead(stream);
    // An idle connection keeps no head in memory.
    fields.length = 0;
  }

  /** HEADERS came for a stream that is not open. `code`: what is wrong with them so far. */
  #onOpening(id: number, code: number): void {
    if (!this.#isServer || (id & 1) === 0 || id <= this.#lastRemote) {
      this.#onLateFrame(id, "HEADERS");
      return;
    }
    this.#lastRemote = id;
    if (this.#stage === "last") {
      this.#count("ignored");
      return;
    }
    this.#lastServed = id;
    const { maxStreams } = this.#options;
    if (this.#streams.size >= maxStreams) {
      if (this.#hasAck) this.#break(errorCode.protocolError, "protocol", "too many streams");
      else this.#refuseStream(id, errorCode.refusedStream);
      return;
    }
    let fault = code;
    const rules = this.#rules;
    if (fault === errorCode.noError && rules.request(this.#fields) !== "")
      fault = errorCode.protocolError;
    const isEnd = this.#head.isEnd;
    const { contentLength } = rules;
    if (fault === errorCode.noError && isEnd && contentLength > 0) fault = errorCode.protocolError;
    if (fault !== errorCode.noError) {
      this.#refuseStream(id, fault);
      return;
    }
    const stream = new Http2Stream(this, id, nobody, this.#remoteWindow);
    stream.isReceived = isEnd;
    stream.expectedBytes = contentLength;
    stream.protocol = rules.protocol;
    this.#streams.set(id, stream);
    this.#owner.onRequest(stream, this.#fields, isEnd);
  }

  #onAnswerHead(stream: Http2Stream): void {
    const fields = this.#fields;
    const isEnd = this.#head.isEnd;
    const isInterim = (fields[1] ?? "").charCodeAt(0) === 0x31;
    const rules = this.#rules;
    const wrong = rules.response(fields);
    if (wrong !== "" || (isInterim && isEnd)) {
      const why = wrong === "" ? "an interim answer that is the last" : wrong;
      this.#resetStream(stream, errorCode.protocolError, why);
      return;
    }
    if (!isInterim) {
      stream.hasReceivedHead = true;
      const status = fields[1];
      const hasNone = stream.isHeadRequest || status === "204" || status === "304";
      stream.expectedBytes = hasNone ? 0 : rules.contentLength;
      if (isEnd && stream.expectedBytes > 0) {
        this.#resetStream(stream, errorCode.protocolError, "less content than content-length says");
        return;
      }
    }
    stream.isReceived = isEnd;
    stream.owner.onHead(fields, isEnd);
    stream.closeIfOver();
  }

  #onTrailer(stream: Http2Stream): void {
    if (stream.protocol !== "") {
      // A tunnel has content alone (RFC 9113 section 8.5).
      this.#resetStream(stream, errorCode.protocolError, "a head within a tunnel");
      return;
    }
    const wrong = this.#rules.trailer(this.#fields);
    if (wrong !== "" || !this.#head.isEnd) {
      const why = wrong === "" ? "a second head" : wrong;
      this.#resetStream(stream, errorCode.protocolError, why);
      return;
    }
    this.#onStreamEnd(stream, this.#fields);
  }

  #onStreamEnd(stream: Http2Stream, trailer: readonly string[]): void {
    const wrong = stream.receiveEnd(trailer);
    if (wrong !== "") this.#resetStream(stream, errorCode.protocolError, wrong);
  }

  /** PRIORITY has no effect any more (RFC 9113 section 5.3.2). */
  #onPriority(id: number, buffer: Buffer, from: number, to: number): void {
    if (id === 0) this.#break(errorCode.protocolError, "protocol", "PRIORITY on stream 0");
    else if (to - from !== 5)
      this.#break(errorCode.frameSizeError, "protocol", "PRIORITY of a wrong length");
    else if (uint31(buffer, from) === id) {
      const stream = this.#streams.get(id);
      const why = "a stream that depends on itself";
      if (stream !== undefined) this.#resetStream(stream, errorCode.protocolError, why);
      else this.#break(errorCode.protocolError, "protocol", why);
    } else this.#count("ignored");
  }

  #onRstStream(id: number, buffer: Buffer, from: number, to: number): void {
    if (id === 0 || this.#isIdle(id)) {
      this.#break(errorCode.protocolError, "protocol", "RST_STREAM on a stream that never was");
      return;
    }
    if (to - from !== 4) {
      this.#break(errorCode.frameSizeError, "protocol", "RST_STREAM of a wrong length");
      return;
    }
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      if (!this.#mayBeLate(id)) this.#count("ignored");
      this.#resets.delete(id);
      return;
    }
    if (this.#isServer && !stream.hasSentHead && this.#count("reset")) return;
    stream.close(buffer.readUInt32BE(from), false);
  }

  #onSettings(flags: number, id: number, buffer: Buffer, from: number, to: number): void {
    const length = to - from;
    if (id !== 0) {
      this.#break(errorCode.protocolError, "protocol", "SETTINGS on a stream");
      return;
    }
    if ((flags & frameFlag.ack) !== 0) {
      if (length > 0)
        this.#break(errorCode.frameSizeError, "protocol", "SETTINGS of a wrong length");
      else if (this.#hasAck) this.#count("ignored");
      this.#hasAck = true;
      return;
    }
    if (length % 6 !== 0) {
      this.#break(errorCode.frameSizeError, "protocol", "SETTINGS of a wrong length");
      return;
    }
    for (let at = from; at < to; at += 6) {
      const code = this.#onSetting(buffer.readUInt16BE(at), buffer.readUInt32BE(at + 2));
      if (code === errorCode.noError) continue;
      this.#break(code, "protocol", "a setting with a forbidden value");
      return;
    }
    if (this.#count("settings")) return;
    this.hasSettings = true;
    this.#outlet.out.settingsAck();
    this.#owner.onSettings();
  }

  /** Returns the code of the error that the value is, or NO_ERROR. */
  #onSetting(id: number, value: number): number {
    switch (id) {
      case setting.headerTableSize:
        this.#encoder.setMaxTableBytes(value);
        break;
      case setting.enablePush:
        // A server cannot allow a client to push.
        if (value > (this.#isServer ? 1 : 0)) return errorCode.protocolError;
        break;
      case setting.maxConcurrentStreams:
        this.remoteMaxStreams = value;
        break;
      case setting.initialWindowSize: {
        if (value > maxWindowBytes) return errorCode.flowControlError;
        const more = value - this.#remoteWindow;
        this.#remoteWindow = value;
        for (const stream of this.#streams.values())
          if (!stream.openWindow(more)) return errorCode.flowControlError;
        break;
      }
      case setting.maxFrameSize:
        if (value < maxFrameBytes || value > 0xffffff) return errorCode.protocolError;
        break;
    }
    return errorCode.noError;
  }

  #onPing(flags: number, id: number, buffer: Buffer, from: number, to: number): void {
    if (id !== 0) this.#break(errorCode.protocolError, "protocol", "PING on a stream");
    else if (to - from !== 8)
      this.#break(errorCode.frameSizeError, "protocol", "PING of a wrong length");
    else if (this.#isFlood("ping", this.#floods.countPing(this.#options.clock.current))) return;
    else if ((flags & frameFlag.ack) === 0) this.#outlet.out.ping(buffer, from, true);
    else this.#onPong();
  }

  #onPong(): void {
    if (this.#stage === "announced") this.end();
    this.#owner.onPong();
  }

  #onGoaway(id: number, buffer: Buffer, from: number, to: number): void {
    if (id !== 0 || to - from < 8) {
      const code = id === 0 ? errorCode.frameSizeError : errorCode.protocolError;
      this.#break(code, "protocol", "a malformed GOAWAY");
      return;
    }
    if (this.#count("settings")) return;
    const last = uint31(buffer, from);
    for (const stream of this.#streams.values()) {
      const isOurs = !this.#isServer && stream.id > last;
      if (isOurs) stream.close(errorCode.refusedStream, true);
    }
    this.#owner.onGoaway(last, buffer.readUInt32BE(from + 4));
  }

  #onWindowUpdate(id: number, buffer: Buffer, from: number, to: number): void {
    if (to - from !== 4) {
      this.#break(errorCode.frameSizeError, "protocol", "WINDOW_UPDATE of a wrong length");
      return;
    }
    const outlet = this.#outlet;
    if (this.#isFlood("window", this.#floods.countUpdate(this.#options.clock.current))) return;
    const bytes = uint31(buffer, from);
    if (id === 0) {
      if (bytes === 0) {
        this.#break(errorCode.protocolError, "protocol", "WINDOW_UPDATE by nothing");
      } else if (outlet.window + bytes > maxWindowBytes) {
        this.#break(errorCode.flowControlError, "protocol", "a window that is too large");
      } else {
        outlet.openWindow(bytes);
      }
      return;
    }
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      if (this.#isIdle(id)) {
        const why = "WINDOW_UPDATE on a stream that never was";
        this.#break(errorCode.protocolError, "protocol", why);
      }
      return;
    }
    if (bytes === 0) {
      this.#resetStream(stream, errorCode.protocolError, "WINDOW_UPDATE by nothing");
    } else if (!stream.openWindow(bytes)) {
      this.#resetStream(stream, errorCode.flowControlError, "a window that is too large");
    }
  }

  /** DATA or HEADERS came for a stream that is over or that never was. */
  #onLateFrame(id: number, what: string): void {
    if (id === 0 || this.#isIdle(id)) {
      this.#break(errorCode.protocolError, "protocol", `${what} on a stream that never was`);
      return;
    }
    if (this.#stage !== "last" && !this.#mayBeLate(id)) {
      this.#break(errorCode.streamClosed, "protocol", `${what} on a stream that is over`);
    }
  }

  /**
   * Whether a frame on a stream that is over may have been sent before the other side knew. A client does not remember
   * which streams it reset; it opened all of them itself.
   */
  #mayBeLate(id: number): boolean {
    return !this.#isServer || this.#resets.has(id);
  }

  #isIdle(id: number): boolean {
    const isOurs = ((id & 1) === 1) !== this.#isServer;
    return isOurs ? id >= this.#nextLocal || this.#isServer : id > this.#lastRemote;
  }

  /** Ends a stream with an error of the other side. */
  #resetStream(stream: Http2Stream, code: number, why: string): void {
    stream.fault = why;
    if (this.#dataStream === stream) this.#dataStream = null;
    // No client does this by chance, so it counts even when the answer has begun.
    if (!this.#isServer || !this.#count("reset")) stream.reset(code);
  }

  /** Answers a head that becomes no stream. */
  #refuseStream(id: number, code: number): void {
    this.#resets.add(id);
    this.#outlet.out.rstStream(id, code);
    this.#count("reset");
  }

  /** Counts a frame. Returns true when that was one too many, and the connection is over. */
  #count(kind: FloodKind): boolean {
    return this.#isFlood(kind, this.#floods.count(kind, this.#options.clock.current));
  }

  #isFlood(kind: FloodKind, isTooMany: boolean): boolean {
    if (!isTooMany) return false;
    this.#break(errorCode.enhanceYourCalm, kind, `too many frames of a kind: ${kind}`);
    return true;
  }

  #break(code: number, cause: BreakCause, why: string): void {
    if (this.#stage === "over") return;
    this.fault = why;
    this.fail(code, why);
    this.#owner.onBroken(cause, why);
  }

  #closeStreams(code: number): void {
    for (const stream of this.#streams.values()) stream.close(code, false);
  }

  /** Ends the socket's side once everything is written. What still comes is thrown away, for nothing can answer it. */
  #finish(): void {
    this.#stage = "over";
    this.#reader.isStopped = true;
    this.#outlet.end();
  }
}

/** The owner of a stream before the connection's owner has set another one. */
const nobody: StreamOwner = {
  onHead: () => {},
  onData: () => {},
  onEnd: () => {},
  onDrain: () => {},
  onClosed: () => {},
};

function uint31(buffer: Buffer, at: number): number {
  return buffer.readUInt32BE(at) & 0x7fffffff;
}
