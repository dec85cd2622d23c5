/**
 * Finds frames in bytes that come in pieces of any size. DATA is passed on as it comes; every other frame when it is
 * whole. It checks lengths and padding, and leaves all other rules to its sink.
 */
import { errorCode, frameFlag, frameHeaderBytes, frameType, maxFrameBytes } from "./frames.ts";

/** A payload in pieces is collected in a buffer of this size at first, so that its announcement alone costs nothing. */
const firstPieceBytes = 256;

export interface FrameSink {
  /** A whole frame other than DATA, with its payload `buffer[from, to)`. */
  onFrame(
    type: number,
    flags: number,
    stream: number,
    buffer: Buffer,
    from: number,
    to: number,
  ): void;
  /** A DATA frame begins. `length` counts against the windows: padding is part of it (RFC 9113 section 6.1). */
  onDataBegin(flags: number, stream: number, length: number): void;
  /** A part of its content. */
  onDataPiece(buffer: Buffer, from: number, to: number): void;
  onDataEnd(): void;
  /** The frame breaks a rule of all frames. */
  onBadFrame(code: number, why: string): void;
}

export class FrameReader {
  /** Whether the rest of what comes is thrown away. The sink sets this. */
  isStopped = false;
  readonly #sink: FrameSink;
  /** The beginning of a frame's header, when the header came in pieces; made when that first happens. */
  #header: Uint8Array | null = null;
  #headerLength = 0;
  #type = 0;
  #flags = 0;
  #stream = 0;
  #length = 0;
  /** What of the payload has come, of a frame other than DATA. */
  #payload: Buffer | null = null;
  #filled = 0;
  /** What of a DATA frame is still to come: content, and padding. -1: the length of its padding is not known yet. */
  #content = 0;
  #padding = 0;
  #isInData = false;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  read(chunk: Buffer, from: number): void {
    let at = from;
    while (at < chunk.length && !this.isStopped) {
      if (this.#isInData) at = this.#readData(chunk, at);
      else if (this.#payload !== null) at = this.#readPayload(chunk, at, this.#payload);
      else at = this.#readHeader(chunk, at);
    }
  }

  /** Returns the offset behind the header; also behind the payload, when the frame is whole. */
  #readHeader(chunk: Buffer, from: number): number {
    let at = from;
    let header: Uint8Array = chunk;
    let start = from;
    if (this.#headerLength > 0 || chunk.length - from < frameHeaderBytes) {
      this.#header ??= new Uint8Array(frameHeaderBytes);
      const missing = Math.min(frameHeaderBytes - this.#headerLength, chunk.length - from);
      for (let index = 0; index < missing; index += 1)
        this.#header[this.#headerLength + index] = chunk[from + index] ?? 0;
      this.#headerLength += missing;
      at += missing;
      if (this.#headerLength < frameHeaderBytes) return at;
      this.#headerLength = 0;
      header = this.#header;
      start = 0;
    } else {
      at += frameHeaderBytes;
    }
    const length = byteAt(header, start) * 65_536 + uint16At(header, start + 1);
    const type = byteAt(header, start + 3);
    const flags = byteAt(header, start + 4);
    const stream = (uint16At(header, start + 5) & 0x7fff) * 65_536 + uint16At(header, start + 7);
    if (length > maxFrameBytes) {
      this.#sink.onBadFrame(errorCode.frameSizeError, `a frame of ${length} bytes`);
      return at;
    }
    if (type === frameType.data) {
      this.#beginData(flags, stream, length);
      return at;
    }
    if (chunk.length - at >= length) {
      this.#sink.onFrame(type, flags, stream, chunk, at, at + length);
      return at + length;
    }
    this.#type = type;
    this.#flags = flags;
    this.#stream = stream;
    this.#length = length;
    this.#filled = 0;
    this.#payload = Buffer.allocUnsafe(Math.min(length, firstPieceBytes));
    return at;
  }

  #readPayload(chunk: Buffer, from: number, payload: Buffer): number {
    const taken = Math.min(this.#length - this.#filled, chunk.length - from);
    let room = payload;
    if (this.#filled + taken > payload.length) {
      const size = Math.min(this.#length, Math.max(this.#filled + taken, 2 * payload.length));
      room = Buffer.allocUnsafe(size);
      payload.copy(room, 0, 0, this.#filled);
      this.#payload = room;
    }
    chunk.copy(room, this.#filled, from, from + taken);
    this.#filled += taken;
    if (this.#filled === this.#length) {
      this.#payload = null;
      this.#sink.onFrame(this.#type, this.#flags, this.#stream, room, 0, this.#length);
    }
    return from + taken;
  }

  #beginData(flags: number, stream: number, length: number): void {
    this.#content = length;
    this.#padding = 0;
    this.#isInData = true;
    this.#sink.onDataBegin(flags, stream, length);
    if ((flags & frameFlag.padded) !== 0) {
      this.#padding = -1;
      if (length === 0) this.#sink.onBadFrame(errorCode.frameSizeError, "padding without a length");
    } else if (length === 0) this.#endData();
  }

  #readData(chunk: Buffer, from: number): number {
    let at = from;
    if (this.#padding === -1) {
      const padding = chunk[at] ?? 0;
      at += 1;
      this.#content -= 1 + padding;
      this.#padding = padding;
      if (this.#content < 0) {
        this.#sink.onBadFrame(errorCode.protocolError, "more padding than payload");
        return at;
      }
    }
    if (this.#content > 0) {
      const to = Math.min(chunk.length, at + this.#content);
      if (to > at) {
        this.#content -= to - at;
        this.#sink.onDataPiece(chunk, at, to);
        at = to;
      }
    }
    if (this.#content === 0) {
      const skipped = Math.min(this.#padding, chunk.length - at);
      this.#padding -= skipped;
      at += skipped;
      if (this.#padding === 0) this.#endData();
    }
    return at;
  }

  #endData(): void {
    this.#isInData = false;
    if (!this.isStopped) this.#sink.onDataEnd();
  }
}

function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}

function uint16At(bytes: Uint8Array, at: number): number {
  return byteAt(bytes, at) * 256 + byteAt(bytes, at + 1);
}
