/**
 * Watches a client's bytes before `node:http` reads them, for what its parser accepts and the contract does not:
 * blanks and line ends in wrong places, and versions of other protocols.
 */
import { ChunkedDecoder } from "../message/chunked.ts";
import { explainRequestLine, type Refusal, refuse } from "../message/grammar.ts";
import { refuseLine } from "../message/request-line.ts";

const headEnd = "\r\n\r\n";
const headMethod = "HEAD ";

/**
 * `start`: a request may begin, or blank lines. `head`: a head has begun. `length`, `chunks`: its body comes. `off`:
 * what comes is not a request, or is left to the parser to refuse.
 */
type Stage = "start" | "head" | "length" | "chunks" | "off";

export class RequestWatch {
  /** Why a request is refused. Nothing after it is looked at. */
  refusal: Refusal | null = null;
  /**
   * For each request whose head is complete but which `node:http` has not delivered: whether it is a HEAD request.
   */
  readonly #whole: boolean[] = [];
  readonly #maxHeadBytes: number;
  #stage: Stage = "start";
  /** What has come of the head, or of the line end before it. */
  #text = "";
  #isLineChecked = false;
  #remaining = 0;
  #decoder: ChunkedDecoder | null = null;

  constructor(maxHeadBytes: number) {
    this.#maxHeadBytes = maxHeadBytes;
  }

  /** Whether the next request to arrive is a HEAD request, even if its head is incomplete. */
  get isHead(): boolean {
    return this.#whole[0] ?? this.#text.startsWith(headMethod);
  }

  /** `node:http` has delivered a request. Returns false when it is the refused one. */
  onArrival(): boolean {
    return this.#whole.shift() !== undefined || this.refusal === null;
  }

  /** Stops watching: what follows is not requests any more. */
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

  /** Skips empty lines before a request (RFC 9112 section 2.2), as long as they are complete. */
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
        // The line of a complete head is judged further when the head has been read.
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
      // Too long: the session refuses it.
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
