/** Reads the head of an origin's answer and finds out how its body is framed (RFC 9112 section 6.3). */

import type { Answer } from "../engine.ts";
import { answerFields, statusLine } from "./answers.ts";
import { FieldLines } from "./field-lines.ts";
import { fieldValue, isNamed, listElements, responseHead } from "./grammar.ts";

const digits = /^[0-9]{1,15}$/;

/** How a body ends. */
export type Framing = "none" | "length" | "chunked" | "close";

/** An answer's head. One object serves one connection: `read` overwrites what was there. */
export class ResponseHead {
  status = 0;
  /** The status line from after the version to its end, CR LF included: `200 OK\r\n`. */
  statusLine = "";
  framing: Framing = "none";
  /** The announced length, even when no body follows; -1 when there is none. */
  contentLength = -1;
  /** Whether the origin keeps the connection open. Only its wire needs this. */
  keepAlive = true;
  upgrade = "";
  hasDate = false;
  /** The value of `Connection`; empty when absent. */
  connection = "";
  readonly fields = new FieldLines("response");

  /** Whether a body of unknown length follows. */
  get isStreamed(): boolean {
    return this.framing === "chunked" || this.framing === "close";
  }

  /** The body will not be the announced one, and its length is not known yet. */
  forgetLength(): void {
    this.contentLength = -1;
    if (this.framing !== "none") this.framing = "chunked";
  }

  /**
   * Makes this the head of the gateway's own answer, with a body of so many bytes. None of them are sent for `HEAD`.
   */
  own(answer: Answer, length: number, method: string): void {
    const fields = answerFields(answer);
    const { status } = answer;
    const hasLength = status !== 204 && status !== 304;
    this.status = status;
    this.statusLine = statusLine(status);
    this.framing = hasLength && length > 0 && method !== "HEAD" ? "length" : "none";
    this.contentLength = hasLength ? length : -1;
    this.keepAlive = true;
    this.upgrade = "";
    this.hasDate = false;
    this.connection = "";
    this.fields.reset(fields, 0, fields.length);
  }

  /**
   * Reads the head at the start of `text`, which ends before `end`. `method` is the request's. Returns an empty
   * string, or what is wrong with the head.
   */
  read(text: string, end: number, method: string): string {
    responseHead.lastIndex = 0;
    if (!responseHead.test(text) || responseHead.lastIndex !== end) return "malformed answer head";
    const lineEnd = text.indexOf("\r\n");
    this.status =
      (text.charCodeAt(9) - 48) * 100 + (text.charCodeAt(10) - 48) * 10 + text.charCodeAt(11) - 48;
    // The space before a missing reason phrase stays (RFC 9112 section 4).
    this.statusLine = lineEnd > 12 ? text.slice(9, lineEnd + 2) : `${this.status} \r\n`;
    this.contentLength = -1;
    this.upgrade = "";
    this.hasDate = false;
    this.fields.reset(text, lineEnd + 2, end - 2);
    return this.#readFields(text, lineEnd + 2, end - 2, text.charCodeAt(7) - 48, method);
  }

  #readFields(text: string, start: number, end: number, minor: number, method: string): string {
    const fields = this.fields;
    let connection = "";
    let coding: string | null = null;
    for (let line = start; line < end; ) {
      const lineEnd = text.indexOf("\r\n", line);
      const next = lineEnd + 2;
      switch (text.charCodeAt(line) | 32) {
        case 99: {
          const colon = text.indexOf(":", line);
          if (isNamed(text, line, colon, "content-length")) {
            const value = fieldValue(text, colon, lineEnd);
            if (this.contentLength !== -1) return "more than one Content-Length";
            if (!digits.test(value)) return "Content-Length is not a number";
            this.contentLength = Number(value);
            fields.drop(line, next);
          } else if (isNamed(text, line, colon, "connection")) {
            const value = fieldValue(text, colon, lineEnd);
            connection = connection === "" ? value : `${connection}, ${value}`;
            fields.drop(line, next);
          }
          break;
        }
        case 116: {
          const colon = text.indexOf(":", line);
          if (isNamed(text, line, colon, "transfer-encoding")) {
            if (coding !== null) return "more than one Transfer-Encoding";
            coding = fieldValue(text, colon, lineEnd);
            fields.drop(line, next);
          }
          break;
        }
        case 100: {
          const colon = text.indexOf(":", line);
          if (isNamed(text, line, colon, "date")) this.hasDate = true;
          break;
        }
        case 107:
        case 112: {
          const colon = text.indexOf(":", line);
          if (
            isNamed(text, line, colon, "keep-alive") ||
            isNamed(text, line, colon, "proxy-connection")
          ) {
            fields.drop(line, next);
          }
          break;
        }
        case 117: {
          const colon = text.indexOf(":", line);
          if (isNamed(text, line, colon, "upgrade")) {
            this.upgrade = fieldValue(text, colon, lineEnd);
            fields.drop(line, next);
          }
          break;
        }
      }
      line = next;
    }
    this.keepAlive = minor === 1;
    this.connection = connection;
    if (connection !== "") this.#readConnection(connection);
    return this.#settleFraming(coding, minor, method);
  }

  #readConnection(connection: string): void {
    const options = connection.toLowerCase();
    if (options === "keep-alive") {
      this.keepAlive = true;
      return;
    }
    if (options === "close") {
      this.keepAlive = false;
      return;
    }
    const names = listElements(connection);
    if (names.includes("close")) this.keepAlive = false;
    else if (names.includes("keep-alive")) this.keepAlive = true;
    this.fields.removeNamedBy(connection);
  }

  #settleFraming(coding: string | null, minor: number, method: string): string {
    if (coding !== null) {
      if (this.contentLength !== -1) return "both Transfer-Encoding and Content-Length";
      if (coding.toLowerCase() !== "chunked") return "a transfer coding other than chunked";
      if (minor === 0) return "Transfer-Encoding in an HTTP/1.0 answer";
    }
    if (method === "HEAD" || this.status === 204 || this.status === 304 || this.status < 200) {
      this.framing = "none";
      // A body that must not be there would be read as the next answer.
      if (this.status === 204 && (coding !== null || this.contentLength > 0))
        this.keepAlive = false;
    } else if (coding !== null) {
      this.framing = "chunked";
    } else if (this.contentLength !== -1) {
      this.framing = this.contentLength === 0 ? "none" : "length";
    } else {
      this.framing = "close";
      this.keepAlive = false;
    }
    return "";
  }
}
