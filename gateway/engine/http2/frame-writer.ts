/** Writes frames one after another into a buffer that grows and is used again. It knows no socket. */
import { frameFlag, frameHeaderBytes, frameType, maxFrameBytes } from "./frames.ts";

/** The size that a writer begins with, and goes back to once it is empty. */
const usualBytes = 16_384;
/** Up to this length, a loop writes a text faster than a call into the runtime does. */
const shortText = 24;

export class FrameWriter {
  buffer: Buffer = Buffer.allocUnsafeSlow(usualBytes);
  /** How many bytes are written. */
  end = 0;

  /** Makes room for so many more bytes. */
  reserve(bytes: number): void {
    const needed = this.end + bytes;
    if (needed <= this.buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.buffer.length));
    this.buffer.copy(larger, 0, 0, this.end);
    this.buffer = larger;
  }

  /** Forgets everything that was written. */
  clear(): void {
    this.end = 0;
    if (this.buffer.length > usualBytes) this.buffer = Buffer.allocUnsafeSlow(usualBytes);
  }

  /** Leaves the buffer to somebody who still reads it, and goes on with another one. */
  detach(): void {
    this.end = 0;
    this.buffer = Buffer.allocUnsafeSlow(usualBytes);
  }

  /** Returns what was written, in a buffer of its own. */
  copy(): Buffer {
    const copy = Buffer.allocUnsafe(this.end);
    this.buffer.copy(copy, 0, 0, this.end);
    return copy;
  }

  byte(value: number): void {
    this.reserve(1);
    this.buffer[this.end] = value;
    this.end += 1;
  }

  /** Writes a text whose characters are bytes. */
  text(text: string): void {
    const { length } = text;
    this.reserve(length);
    if (length > shortText) {
      this.buffer.write(text, this.end, length, "latin1");
    } else {
      const { buffer } = this;
      const start = this.end;
      for (let at = 0; at < length; at += 1) buffer[start + at] = text.charCodeAt(at);
    }
    this.end += length;
  }

  bytes(source: Buffer, from: number, to: number): void {
    this.reserve(to - from);
    source.copy(this.buffer, this.end, from, to);
    this.end += to - from;
  }

  /** Writes the nine bytes that begin a frame with a payload of `length` bytes. */
  frameHeader(length: number, type: number, flags: number, stream: number): void {
    this.reserve(frameHeaderBytes);
    writeHeader(this.buffer, this.end, length, type, flags, stream);
    this.end += frameHeaderBytes;
  }

  uint32(value: number): void {
    this.reserve(4);
    const { buffer, end } = this;
    buffer[end] = value >>> 24;
    buffer[end + 1] = value >>> 16;
    buffer[end + 2] = value >>> 8;
    buffer[end + 3] = value;
    this.end = end + 4;
  }

  /** Begins a HEADERS frame; the block is written next. Returns what `endHeaders` needs. */
  beginHeaders(): number {
    this.reserve(frameHeaderBytes);
    const start = this.end;
    this.end = start + frameHeaderBytes;
    return start;
  }

  /** Completes the frame that `beginHeaders` began, and splits a block that is too long for one. */
  endHeaders(start: number, stream: number, isEnd: boolean): void {
    const { headers, continuation } = frameType;
    const endStream = isEnd ? frameFlag.endStream : 0;
    const block = start + frameHeaderBytes;
    const length = this.end - block;
    if (length <= maxFrameBytes) {
      const flags = frameFlag.endHeaders | endStream;
      writeHeader(this.buffer, start, length, headers, flags, stream);
      return;
    }
    const rest = Buffer.from(this.buffer.subarray(block + maxFrameBytes, this.end));
    writeHeader(this.buffer, start, maxFrameBytes, headers, endStream, stream);
    this.end = block + maxFrameBytes;
    for (let from = 0; from < rest.length; from += maxFrameBytes) {
      const to = Math.min(rest.length, from + maxFrameBytes);
      const flags = to === rest.length ? frameFlag.endHeaders : 0;
      this.frameHeader(to - from, continuation, flags, stream);
      this.bytes(rest, from, to);
    }
  }

  /** `pairs`: numbers of settings and their values, alternately. */
  settings(pairs: readonly number[]): void {
    this.frameHeader(3 * pairs.length, frameType.settings, 0, 0);
    for (let at = 0; at < pairs.length; at += 2) {
      const id = pairs[at] ?? 0;
      this.byte(id >>> 8);
      this.byte(id);
      this.uint32(pairs[at + 1] ?? 0);
    }
  }

  settingsAck(): void {
    this.frameHeader(0, frameType.settings, frameFlag.ack, 0);
  }

  /** `from`: where the eight bytes of the ping stand in `source`. */
  ping(source: Buffer, from: number, isAck: boolean): void {
    this.frameHeader(8, frameType.ping, isAck ? frameFlag.ack : 0, 0);
    this.bytes(source, from, from + 8);
  }

  rstStream(stream: number, code: number): void {
    this.frameHeader(4, frameType.rstStream, 0, stream);
    this.uint32(code);
  }

  windowUpdate(stream: number, bytes: number): void {
    this.frameHeader(4, frameType.windowUpdate, 0, stream);
    this.uint32(bytes);
  }

  /** `why`: shown by tools to whoever looks into a connection that ended with an error. */
  goaway(lastStream: number, code: number, why: string): void {
    this.frameHeader(8 + why.length, frameType.goaway, 0, 0);
    this.uint32(lastStream);
    this.uint32(code);
    this.text(why);
  }
}

function writeHeader(
  buffer: Buffer,
  at: number,
  length: number,
  type: number,
  flags: number,
  stream: number,
): void {
  buffer[at] = length >>> 16;
  buffer[at + 1] = length >>> 8;
  buffer[at + 2] = length;
  buffer[at + 3] = type;
  buffer[at + 4] = flags;
  buffer[at + 5] = stream >>> 24;
  buffer[at + 6] = stream >>> 16;
  buffer[at + 7] = stream >>> 8;
  buffer[at + 8] = stream;
}
