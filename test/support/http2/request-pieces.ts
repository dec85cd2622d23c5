/**
 * Cuts requests that a test wrote as HTTP/1.1 into what HTTP/2 sends of them. It takes canonical requests only, and
 * throws for what HTTP/2 has no way to say: another version, connection options, upgrades, ambiguous framing.
 */
import type { Field } from "./hpack.ts";

export interface RequestPieces {
  onHead(fields: readonly Field[], isLast: boolean): void;
  onData(bytes: Buffer): void;
  onEnd(trailers: readonly Field[]): void;
}

const requestLine = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) HTTP\/1\.1$/;
const fieldLine = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*$/;
/** What belongs to a connection of HTTP/1 (RFC 9113 section 8.2.2). */
const connectionFields = /^(?:connection|keep-alive|proxy-connection|upgrade)$/;

type State = "head" | "body" | "chunk-size" | "chunk" | "chunk-end" | "trailers";

export class RequestSplitter {
  readonly #to: RequestPieces;
  #pending: Buffer = Buffer.alloc(0);
  #state: State = "head";
  /** Bytes of the body, or of the chunk, still to come. */
  #left = 0;

  constructor(to: RequestPieces) {
    this.#to = to;
  }

  push(bytes: Buffer): void {
    this.#pending = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
    while (this.#step());
  }

  /** False: more bytes are needed. */
  #step(): boolean {
    switch (this.#state) {
      case "head":
        return this.#readHead();
      case "body":
      case "chunk":
        return this.#readData();
      case "chunk-size": {
        const line = this.#takeTo("\r\n");
        if (line === null) return false;
        if (!/^[0-9A-Fa-f]+$/.test(line)) throw new Error(`HTTP/2 has no chunk ${line}`);
        this.#left = Number.parseInt(line, 16);
        if (this.#left > 0) this.#state = "chunk";
        else this.#state = "trailers";
        return true;
      }
      case "chunk-end": {
        if (this.#pending.length < 2) return false;
        if (this.#takeTo("\r\n") !== "") throw new Error("a chunk is longer than it says");
        this.#state = "chunk-size";
        return true;
      }
      case "trailers":
        return this.#readTrailers();
    }
  }

  #readHead(): boolean {
    const head = this.#takeTo("\r\n\r\n");
    if (head === null) return false;
    const [first = "", ...lines] = head.split("\r\n");
    const [, method = "", target = ""] =
      requestLine.exec(first) ?? unknown(`a request line such as ${JSON.stringify(first)}`);
    // HTTP/2 needs no word for what goes no further.
    const fields = lines.filter((line) => line !== "Connection: TE").map(parsed);
    const [host, ...hosts] = fields.filter(([name]) => name === "host");
    if (host === undefined || hosts.length > 0) throw new Error("HTTP/2 has one authority");
    if (fields.some(([name]) => connectionFields.test(name))) unknown("connection options");
    const codings = fields.filter(([name]) => name === "transfer-encoding");
    const lengths = fields.filter(([name]) => name === "content-length");
    if (codings.length + lengths.length > 1) unknown("two framings");
    if (codings.some(([, value]) => value !== "chunked")) unknown("another coding");
    this.#left = Number(lengths[0]?.[1] ?? 0);
    const isChunked = codings.length > 0;
    if (isChunked) this.#state = "chunk-size";
    else if (this.#left > 0) this.#state = "body";
    const pseudo: readonly Field[] = [
      [":method", method],
      [":scheme", "http"],
      [":authority", host[1]],
      [":path", target],
    ];
    const others = fields.filter(([name]) => name !== "host" && name !== "transfer-encoding");
    this.#to.onHead([...pseudo, ...others], this.#state === "head");
    return true;
  }

  #readData(): boolean {
    const piece = this.#pending.subarray(0, this.#left);
    if (piece.length === 0) return false;
    this.#pending = this.#pending.subarray(piece.length);
    this.#left -= piece.length;
    this.#to.onData(piece);
    if (this.#left > 0) return false;
    if (this.#state === "chunk") {
      this.#state = "chunk-end";
    } else {
      this.#state = "head";
      this.#to.onEnd([]);
    }
    return true;
  }

  #readTrailers(): boolean {
    if (this.#pending.length < 2) return false;
    const isEmpty = this.#pending.subarray(0, 2).equals(Buffer.from("\r\n"));
    const text = this.#takeTo(isEmpty ? "\r\n" : "\r\n\r\n");
    if (text === null) return false;
    this.#state = "head";
    this.#to.onEnd(text === "" ? [] : text.split("\r\n").map(parsed));
    return true;
  }

  /** The text before `end`, which is taken too; `null` when it has not come. */
  #takeTo(end: string): string | null {
    const at = this.#pending.indexOf(end);
    if (at === -1) return null;
    const text = this.#pending.toString("latin1", 0, at);
    this.#pending = this.#pending.subarray(at + end.length);
    return text;
  }
}

function parsed(line: string): Field {
  const [, name = "", value = ""] = fieldLine.exec(line) ?? unknown(`the line ${line}`);
  return [name.toLowerCase(), value];
}

function unknown(what: string): never {
  throw new Error(`HTTP/2 cannot say ${what}`);
}
