/**
 * Puts a head together that comes in HEADERS and CONTINUATION (RFC 9113 sections 6.2 and 6.10), in bounds. What the
 * head says is HPACK's to read.
 */
import { errorCode, frameFlag } from "./frames.ts";

/** How many frames one head may have. */
const maxFragments = 16;

/** What is wrong with a frame, which ends the connection. */
export interface HeadFault {
  readonly code: number;
  /** `continuation`: it is one fragment too many, or too long. */
  readonly cause: "protocol" | "continuation";
  readonly why: string;
}

const nothing = Buffer.alloc(0);

export class HeadBlock {
  /** The stream that the head is for. */
  stream = 0;
  /** Whether END_STREAM came with it. */
  isEnd = false;
  /** Whether its priority names its own stream. */
  dependsOnItself = false;
  /** Whether fragments are missing. */
  isOpen = false;
  /** The whole head is `buffer[from, to)` once no fragment is missing; until `clear`. */
  buffer: Buffer = nothing;
  from = 0;
  to = 0;
  readonly #maxBytes: number;
  #fragments = 0;

  /** @param maxBytes of a head in several fragments */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** HEADERS came. Returns what is wrong, or `null`. */
  begin(flags: number, id: number, buffer: Buffer, from: number, to: number): HeadFault | null {
    if (id === 0) return broken(errorCode.protocolError, "HEADERS on stream 0");
    let start = from;
    let end = to;
    if ((flags & frameFlag.padded) !== 0) {
      end -= buffer[start] ?? 0;
      start += 1;
    }
    let dependsOnItself = false;
    if ((flags & frameFlag.priority) !== 0) {
      dependsOnItself = start + 5 <= to && (buffer.readUInt32BE(start) & 0x7fffffff) === id;
      start += 5;
    }
    if (start > end) {
      const code = start > to ? errorCode.frameSizeError : errorCode.protocolError;
      return broken(code, "HEADERS have more padding than payload");
    }
    this.stream = id;
    this.isEnd = (flags & frameFlag.endStream) !== 0;
    this.dependsOnItself = dependsOnItself;
    this.isOpen = (flags & frameFlag.endHeaders) === 0;
    if (this.isOpen) {
      this.#fragments = 1;
      this.#set(Buffer.from(buffer.subarray(start, end)), 0, end - start);
    } else this.#set(buffer, start, end);
    return null;
  }

  /** CONTINUATION came. Returns what is wrong, or `null`. */
  append(flags: number, id: number, buffer: Buffer, from: number, to: number): HeadFault | null {
    if (!this.isOpen || id !== this.stream)
      return broken(errorCode.protocolError, "CONTINUATION of nothing");
    const length = this.to + to - from;
    this.#fragments += 1;
    if (length > this.#maxBytes || this.#fragments > maxFragments) {
      const why = "a head in too many fragments";
      return { code: errorCode.enhanceYourCalm, cause: "continuation", why };
    }
    let whole = this.buffer;
    if (length > whole.length) {
      whole = Buffer.allocUnsafe(Math.max(length, 2 * whole.length));
      this.buffer.copy(whole, 0, 0, this.to);
    }
    buffer.copy(whole, this.to, from, to);
    this.#set(whole, 0, length);
    this.isOpen = (flags & frameFlag.endHeaders) === 0;
    return null;
  }

  /** The head has been read: an idle connection keeps none of it. */
  clear(): void {
    this.#set(nothing, 0, 0);
  }

  #set(buffer: Buffer, from: number, to: number): void {
    this.buffer = buffer;
    this.from = from;
    this.to = to;
  }
}

function broken(code: number, why: string): HeadFault {
  return { code, cause: "protocol", why };
}
