/**
 * Watches a client's bytes before `node:http` reads them, for what its parser takes and the contract does
 * not: blanks and line ends where none belong, and versions of other protocols.
 */
import { ChunkedDecoder } from "../message/chunked.ts";
import { explainRequestLine, type Refusal, refuse } from "../message/grammar.ts";
import { refuseLine } from "../message/request-line.ts";

const headEnd = "\r\n\r\n";
const headMethod = "HEAD ";

/**
 * `start`: a request may begin, or blank lines. `head`: one has. `length`, `chunks`: its body. `off`: what
 * comes is nobody's request, or the parser's to refuse.
 */
type Stage = "start" | "head" | "length" | "chunks" | "off";

export class RequestWatch {
  /** Why a request is refused; what follows it is not looked at. */
  refusal: Refusal | null = null;
  /** Of the requests whose heads came and which have not arrived: whether they are HEAD. */
  readonly #whole: boolean[] = [];
  readonly #maxHeadBytes: number;
  #stage: Stage = "start";
  /** Of the line end before a request, or of its head: what came of it. */
  #text = "";
  #isLineChecked = false;
  #remaining = 0;
  #decoder: ChunkedDecoder | null = null;

  constructor(maxHeadBytes: number) {
    this.#maxHeadBytes = maxHeadBytes;
  }

  /** Whether the next request to arrive, be its head whole or not, is a HEAD request. */
  get isHead(): boolean {
    return this.#whole[0] ?? this.#text.startsWith(headMethod);
  }

  /** `node:http` has read a request. False: it is the one that is refused. */
  onArrival(): boolean {
    return this.#whole.shift() !== undefined || this.refusal === null;
  }

  /** The bytes are no requests any more. */
  stop(): void {
    this.#stage = "off";
  }

  onBytes(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length && this.#stage !== "off") at = this.#read(bytes, at);
  }

  #read(bytes: Buffer, at: number): number {
    switch (this.#stage) {
      case "start":
        return this.#readStart(bytes, at);
      case "head":
        return this.#readHead(bytes, at);
      case "length": {
        const to = Math.min(bytes.length, at + this.#remaining);
        this.#remaining -= to - at;
        if (this.#remaining === 0) this.#next();
        return to;
      }
      case "chunks":
        return this.#readChunks(bytes, at);
      case "off":
        return bytes.length;
    }
  }

  /** Empty lines before a request are skipped (RFC 9112 section 2.2), as long as they are whole. */
  #readStart(bytes: Buffer, at: number): number {
    const byte = bytes[at];
    if (this.#text === "\r" ? byte !== 10 : byte === 10) {
      this.#refuse(refuse("bad_line_end", "a line does not end with CR LF"));
    } else if (byte === 13 || byte === 10) {
      this.#text = byte === 13 ? "\r" : "";
    } else {
      this.#text = "";
      this.#isLineChecked = false;
      this.#stage = "head";
      return at;
    }
    return at + 1;
  }

  #readHead(bytes: Buffer, from: number): number {
    const before = this.#text.length;
    this.#text += bytes.toString("latin1", from);
    if (!this.#isLineChecked) {
      const lineEnd = this.#text.indexOf("\r\n", Math.max(0, before - 1));
      if (lineEnd !== -1) {
        this.#isLineChecked = true;
        const line = this.#text.slice(0, lineEnd);
        // What a whole head asks for is looked at when it has been read.
        const isWhole = this.#text.includes(headEnd, lineEnd);
        const refusal = isWhole ? explainRequestLine(line) : refuseLine(line);
        if (refusal !== null) {
          this.#refuse(refusal);
          return bytes.length;
        }
      }
    }
    const found = this.#text.indexOf(headEnd, Math.max(0, before - 3));
    if (found === -1) {
      // Too long: that is said elsewhere.
      if (this.#text.length > this.#maxHeadBytes) this.#stage = "off";
      return bytes.length;
    }
    const end = found + headEnd.length;
    this.#beginBody(this.#text.slice(0, end));
    return from + end - before;
  }

  #beginBody(head: string): void {
    this.#whole.push(head.startsWith(headMethod));
    const length = /\r\ncontent-length:[\t ]*([0-9]{1,15})[\t ]*\r\n/i.exec(head)?.[1];
    this.#remaining = Number(length ?? 0);
    if (/\r\ntransfer-encoding:/i.test(head)) {
      this.#decoder ??= new ChunkedDecoder();
      this.#decoder.reset();
      this.#stage = "chunks";
    } else if (this.#remaining > 0) {
      this.#stage = "length";
    } else {
      this.#next();
    }
  }

  #readChunks(bytes: Buffer, at: number): number {
    const decoder = this.#decoder;
    if (decoder === null) return bytes.length;
    const end = decoder.decode(bytes, at, { onChunkData: () => {} });
    if (decoder.error !== "") this.#stage = "off";
    else if (decoder.isDone) this.#next();
    return end;
  }

  #next(): void {
    this.#text = "";
    this.#stage = "start";
  }

  #refuse(refusal: Refusal): void {
    this.refusal = refusal;
    this.#stage = "off";
  }
}
