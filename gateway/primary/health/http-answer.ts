/** Judges the answer to an HTTP check as it comes: each byte is looked at once, and not more than a bounded number of them. */
import { ChunkedDecoder } from "../../engine/message/chunked.ts";
import type { HttpCheck } from "../../model/index.ts";
import { BodyText, verdictOnStatus } from "./body-text.ts";
import type { Judge, Verdict } from "./judges.ts";

/** Of heads, interim ones included. */
const maxHeadBytes = 16 * 1024;
const statusLine = /^HTTP\/1\.[01] ([1-5]\d\d)[ \r]/;
const notHttp = "the answer is not HTTP";

export class HttpAnswer implements Judge {
  readonly #check: HttpCheck;
  /** Of the heads so far. */
  #head = "";
  /** Where the head of the answer itself begins in it. */
  #from = 0;
  #body: Body | null = null;

  constructor(check: HttpCheck) {
    this.#check = check;
  }

  push(chunk: Buffer): Verdict | undefined {
    if (this.#body !== null) return this.#body.push(chunk);
    const searched = Math.max(this.#from, this.#head.length - 3);
    const before = this.#head.length;
    this.#head += chunk.toString("latin1", 0, maxHeadBytes + 1 - before);
    return this.#readHead(chunk, before, searched);
  }

  end(): Verdict {
    if (this.#body !== null) return this.#body.missing;
    return this.#head === "" ? "it closed the connection without an answer" : notHttp;
  }

  /** @param before what there was of heads before this chunk. */
  #readHead(chunk: Buffer, before: number, searchedTo: number): Verdict | undefined {
    for (let searched = searchedTo; ; searched = this.#from) {
      const status = this.#status();
      if (typeof status !== "number") return status;
      // An interim answer comes before the real one (RFC 9110 section 15.2).
      const isInterim = status < 200 && status !== 101;
      const { statuses, body } = this.#check;
      if (!isInterim) {
        const verdict = verdictOnStatus(status, statuses);
        if (verdict !== null || body === null) return verdict;
      }
      const end = this.#head.indexOf("\r\n\r\n", searched);
      if (end === -1) return this.#head.length > maxHeadBytes ? notHttp : undefined;
      const head = this.#head.slice(this.#from, end + 2);
      this.#from = end + 4;
      if (isInterim || body === null) continue;
      this.#body = new Body(head, body);
      return this.#body.push(chunk.subarray(this.#from - before));
    }
  }

  /** Of the line at `#from`; `undefined`: it is not whole. */
  #status(): number | Verdict | undefined {
    const line = this.#head.slice(this.#from, this.#from + 64);
    const found = statusLine.exec(line);
    if (found !== null) return Number(found[1]);
    // What is there may be the beginning of one.
    const isBegun = statusLine.test(line + "HTTP/1.1 200 ".slice(line.length));
    return isBegun ? undefined : notHttp;
  }
}

class Body {
  readonly #text: BodyText;
  readonly #decoder: ChunkedDecoder | null;
  /** What is left of the announced length; infinite: until the connection ends. */
  #left: number;

  constructor(head: string, wanted: string) {
    this.#text = new BodyText(wanted);
    const isChunked = /\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n/i.test(head);
    this.#decoder = isChunked ? new ChunkedDecoder() : null;
    const length = /\r\ncontent-length:[ \t]*(\d{1,15})[ \t]*\r\n/i.exec(head)?.[1];
    this.#left = length === undefined || isChunked ? Number.POSITIVE_INFINITY : Number(length);
  }

  get missing(): string {
    return this.#text.missing;
  }

  push(chunk: Buffer): Verdict | undefined {
    this.#left -= chunk.length;
    if (this.#decoder === null) this.onChunkData(chunk, 0, chunk.length);
    else this.#decoder.decode(chunk, 0, this);
    if (this.#text.isFound) return null;
    const isOver =
      this.#left <= 0 ||
      this.#text.isFull ||
      this.#decoder?.isDone === true ||
      (this.#decoder?.error ?? "") !== "";
    return isOver ? this.missing : undefined;
  }

  onChunkData(buffer: Buffer, from: number, to: number): void {
    this.#text.push(buffer, from, to);
  }
}
