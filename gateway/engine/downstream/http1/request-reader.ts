/**
 * Finds request heads in a client's bytes, however they are cut. Keeps what has not been read yet;
 * refuses at once what can no longer become a head.
 */
import type { EngineLimits } from "../../engine.ts";
import {
  explainRequestLines,
  hasBareLineEnd,
  type Refusal,
  refuse,
} from "../../message/grammar.ts";
import type { RequestHead } from "../../message/request-head.ts";
import { refuseLine } from "../../message/request-line.ts";

const headEnd = "\r\n\r\n";
const headMethod = "HEAD ";
/** How the preface of HTTP/2 begins: what a reader of HTTP/1 takes for a whole head (RFC 9113 section 3.4). */
const prefaceHead = "PRI * HTTP/2.0\r\n\r\n";
/** Up to here a chunk is decoded whole to look for the head's end. */
const wholeTextBytes = 4_096;
/** Method and version around a target: a little more than the target may have. */
const aroundTargetBytes = 48;

/**
 * `whole`: the head is read. `partial`: it has begun. `nothing`: no byte of a head is there.
 */
export type Found = "whole" | "partial" | "nothing" | Refusal;

export class RequestReader {
  /** Bytes that were not read yet. */
  pending: Buffer | null = null;
  /** Whether the head that was refused, or that has begun, is that of a HEAD request. */
  isHead = false;
  /** Whether what was refused is the preface of HTTP/2; `pending` then begins with it. */
  isPreface = false;
  /** Whether empty lines came before: then a preface is none. */
  #hasSkipped = false;
  /** How much of `pending` is known to hold no end of a head. */
  #scanned = 0;
  /** How much of it is lines that have been looked at, and how many. */
  #checked = 0;
  #checkedLines = 0;

  add(chunk: Buffer): void {
    this.pending = this.pending === null ? chunk : Buffer.concat([this.pending, chunk]);
  }

  /** Takes what is pending. */
  takePending(): Buffer | null {
    const pending = this.pending;
    this.pending = null;
    return pending;
  }

  /** Takes the next `length` bytes when they are all there; `null` when they are not. */
  takeWhole(length: number): Buffer | null {
    const { pending } = this;
    if (pending === null || pending.length < length) return null;
    this.pending = pending.length > length ? pending.subarray(length) : null;
    return pending.length > length ? pending.subarray(0, length) : pending;
  }

  /** Reads the next head into `head`; what follows it stays pending. */
  read(head: RequestHead, limits: EngineLimits): Found {
    const buffer = this.#skipEmptyLines();
    if (buffer === null) return "nothing";
    let text: string;
    let end: number;
    if (this.#scanned > 0) {
      // The head comes in pieces: only what is new can hold its end.
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
    // Half of an empty line before a request: nothing has begun.
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
    // What was looked at before need not be again, but for a CR at its end.
    const isAfterCr = this.#scanned > 0 && buffer[this.#scanned - 1] === 13;
    const from = isAfterCr ? this.#scanned - 1 : this.#scanned;
    const text = buffer.toString("latin1", from);
    if (this.#scanned === 0 && !/^[!#$%&'*+.^_`|~0-9A-Za-z\r-]/.test(text)) {
      return refuse("bad_request_line", "this is not an HTTP/1.1 request");
    }
    if (hasBareLineEnd(text)) return refuse("bad_line_end", "a line does not end with CR LF");
    this.#scanned = length;
    return this.#checkLines(buffer) ?? "partial";
  }

  /** A line that is finished and malformed is refused though the head is not whole. */
  #checkLines(buffer: Buffer): Refusal | null {
    const end = buffer.lastIndexOf("\r\n");
    if (end < this.#checked) return null;
    // Its line alone would be a version that is not spoken.
    if (prefaceHead.startsWith(buffer.toString("latin1", 0, prefaceHead.length))) return null;
    const lines = buffer.toString("latin1", this.#checked, end).split("\r\n");
    const first = this.#checkedLines === 0 ? refuseLine(lines[0] ?? "") : null;
    const refusal = first ?? explainRequestLines(lines, this.#checkedLines);
    this.#checked = end + 2;
    this.#checkedLines += lines.length;
    return refusal;
  }
}
