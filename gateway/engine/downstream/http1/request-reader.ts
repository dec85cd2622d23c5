/**
 * Finds request heads in a client's bytes, in whatever pieces they come. It keeps what has not been read yet, and
 * refuses at once what can no longer become a valid head.
 */
import type { EngineLimits } from "../../engine.ts";
import {
  explainRequestLines,
  hasBareLineEnd,
  isProxyHeader,
  type Refusal,
  refuse,
  unexpectedProxyHeader,
} from "../../message/grammar.ts";
import type { RequestHead } from "../../message/request-head.ts";
import { refuseLine } from "../../message/request-line.ts";

const headEnd = "\r\n\r\n";
const headMethod = "HEAD ";
/** How the preface of HTTP/2 begins. A reader of HTTP/1 takes this for a complete head (RFC 9113 section 3.4). */
const prefaceHead = "PRI * HTTP/2.0\r\n\r\n";
/** Up to this size, a chunk is decoded whole to look for the end of the head. */
const wholeTextBytes = 4_096;
/** Room for the method and the version around a target, so that a request line is a little longer than its target. */
const aroundTargetBytes = 48;

/** `whole`: the head is read. `partial`: it has begun. `nothing`: not one byte of a head has come. */
export type Found = "whole" | "partial" | "nothing" | Refusal;

export class RequestReader {
  /** Bytes that have not been read yet. */
  pending: Buffer | null = null;
  /** Whether the head that has begun, or that was refused, belongs to a HEAD request. */
  isHead = false;
  /** Whether the refused bytes are the preface of HTTP/2; `pending` then begins with it. */
  isPreface = false;
  /** Whether empty lines came before: a preface after them does not count. */
  #hasSkipped = false;
  /** How many bytes of `pending` are known not to hold the end of a head. */
  #scanned = 0;
  /** How many bytes of `pending` are lines that have been checked, and how many lines. */
  #checked = 0;
  #checkedLines = 0;

  add(chunk: Buffer): void {
    this.pending = this.pending === null ? chunk : Buffer.concat([this.pending, chunk]);
  }

  /** Returns what is pending, and keeps nothing of it. */
  takePending(): Buffer | null {
    const pending = this.pending;
    this.pending = null;
    return pending;
  }

  /** Takes the next `length` bytes if all of them are there; otherwise returns `null`. */
  takeWhole(length: number): Buffer | null {
    const { pending } = this;
    if (pending === null || pending.length < length) return null;
    this.pending = pending.length > length ? pending.subarray(length) : null;
    return pending.length > length ? pending.subarray(0, length) : pending;
  }

  /** Reads the next head into `head`. The bytes after it stay pending. */
  read(head: RequestHead, limits: EngineLimits): Found {
    const buffer = this.#skipEmptyLines();
    if (buffer === null) return "nothing";
    let text: string;
    let end: number;
    if (this.#scanned > 0) {
      // The head comes in pieces: only the new bytes can hold its end.
      end = buffer.indexOf(headEnd, Math.max(0, this.#scanned - 3));
      text = end === -1 ? "" : buffer.toString("latin1", 0, end + 4);
    } else if (buffer.length <= wholeTextBytes) {
      text = buffer.toString("latin1", 0, buffer.length);
      end = text.indexOf(headEnd);
    } else {
      end = buffer.indexOf(headEnd);
      text = end === -1 ? "" : buffer.toString("latin1", 0, end + 4);
    }
    if (end === -1 || end + 4 > limits.maxHeadBytes) return this.#judgePartial(buffer, limits);
    end += 4;
    this.#scanned = 0;
    this.#checked = 0;
    this.#checkedLines = 0;
    this.pending = buffer.length > end ? buffer.subarray(end) : null;
    const refusal = head.read(text, end, limits);
    if (refusal === null) return "whole";
    this.isHead = text.startsWith(headMethod);
    if (!this.#hasSkipped && text.startsWith(prefaceHead)) {
      this.isPreface = true;
      this.pending = buffer;
    }
    return refusal;
  }

  /** Empty lines before a request line are skipped (RFC 9112 section 2.2). */
  #skipEmptyLines(): Buffer | null {
    const buffer = this.pending;
    if (buffer === null || buffer[0] !== 13) return buffer;
    let start = 0;
    while (buffer[start] === 13 && buffer[start + 1] === 10) start += 2;
    if (start > 0) {
      this.#hasSkipped = true;
      this.pending = buffer.length > start ? buffer.subarray(start) : null;
    }
    return this.pending;
  }

  #judgePartial(buffer: Buffer, limits: EngineLimits): Found {
    const { length } = buffer;
    this.isHead = buffer.toString("latin1", 0, headMethod.length) === headMethod;
    // One CR can be the first half of an empty line before a request: no head has begun.
    if (length === 1 && buffer[0] === 13) return "nothing";
    const lineEnd = buffer.indexOf("\r\n");
    const lineLength = lineEnd === -1 ? length : lineEnd;
    if (lineLength > limits.maxTargetBytes + aroundTargetBytes) {
      const message = `the request target is longer than ${limits.maxTargetBytes} bytes`;
      return { status: 414, code: "target_too_long", message };
    }
    if (length > limits.maxHeadBytes) {
      const message = `the request head is longer than ${limits.maxHeadBytes} bytes`;
      return { status: 431, code: "head_too_large", message };
    }
    // Bytes that were checked before are not checked again, except for a CR at their end.
    const isAfterCr = this.#scanned > 0 && buffer[this.#scanned - 1] === 13;
    const from = isAfterCr ? this.#scanned - 1 : this.#scanned;
    const text = buffer.toString("latin1", from);
    if (this.#scanned === 0 && !/^[!#$%&'*+.^_`|~0-9A-Za-z\r-]/.test(text)) {
      if (isProxyHeader(text)) return unexpectedProxyHeader;
      return refuse("bad_request_line", "this is not an HTTP/1.1 request");
    }
    if (hasBareLineEnd(text)) return refuse("bad_line_end", "a line does not end with CR LF");
    this.#scanned = length;
    return this.#checkLines(buffer) ?? "partial";
  }

  /** Refuses a complete malformed line although the head is incomplete. */
  #checkLines(buffer: Buffer): Refusal | null {
    const end = buffer.lastIndexOf("\r\n");
    if (end < this.#checked) return null;
    // Checked as a line of its own, the preface would be refused for its version.
    if (prefaceHead.startsWith(buffer.toString("latin1", 0, prefaceHead.length))) return null;
    const lines = buffer.toString("latin1", this.#checked, end).split("\r\n");
    const first = this.#checkedLines === 0 ? refuseLine(lines[0] ?? "") : null;
    const refusal = first ?? explainRequestLines(lines, this.#checkedLines);
    this.#checked = end + 2;
    this.#checkedLines += lines.length;
    return refusal;
  }
}
