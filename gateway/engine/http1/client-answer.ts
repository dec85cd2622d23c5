/**
 * An exchange's answer as it goes to the client, be it the origin's or the gateway's own: its heads, the
 * framing of its body, and its end. When what is written is not decided here.
 */
import { answerFields, statusLine } from "../answers.ts";
import type { Answer } from "../engine.ts";
import { allowedTrailer } from "../trailer.ts";
import type { ClientConnection } from "./client-connection.ts";
import type { Http1Engine } from "./http1.ts";
import { connectionLine, framingLine } from "./outgoing-heads.ts";
import type { RequestHead } from "./request-head.ts";
import type { ResponseHead } from "./response-head.ts";

export class ClientAnswer<C> {
  readonly #engine: Http1Engine<C>;
  readonly #client: ClientConnection<C>;
  /** Of the request. */
  readonly #head: RequestHead;
  #writesChunks = false;

  constructor(engine: Http1Engine<C>, client: ClientConnection<C>, head: RequestHead) {
    this.#engine = engine;
    this.#client = client;
    this.#head = head;
  }

  /**
   * A whole answer of the gateway's own; returns the bytes of its body. Throws a `TypeError` for a header
   * that is not valid, before anything is written.
   */
  writeOwn(answer: Answer, isRequestRead: boolean): number {
    const fields = answerFields(answer);
    const client = this.#client;
    this.#settleKeepAlive(isRequestRead);
    const body = answer.body ?? "";
    const length = typeof body === "string" ? Buffer.byteLength(body) : body.length;
    const hasBody = answer.status !== 204 && answer.status !== 304;
    const framing = hasBody ? `Content-Length: ${length}\r\n` : "";
    client.write(
      `HTTP/1.1 ${statusLine(answer.status)}${this.#engine.dateLine}${fields}${framing}${this.#connectionLine()}\r\n`,
    );
    if (!hasBody || length === 0 || this.#head.method === "HEAD") return 0;
    client.writeBody(typeof body === "string" ? Buffer.from(body) : body, false);
    return length;
  }

  /** False: the client is slower than the peer. */
  writeInformational(head: ResponseHead): boolean {
    // An HTTP/1.0 client does not know them (RFC 9110 section 15.2).
    if (this.#head.minor === 0) return true;
    return this.#client.write(`HTTP/1.1 ${head.statusLine}${head.fields}\r\n`);
  }

  /** The origin's head; `body` is the whole body, as latin1, or empty when it follows. */
  writeHead(head: ResponseHead, body: string, isRequestRead: boolean): void {
    const client = this.#client;
    this.#settleKeepAlive(isRequestRead);
    const hasNoLength = head.framing === "chunked" || head.framing === "close";
    this.#writesChunks = hasNoLength && this.#head.minor === 1;
    // An HTTP/1.0 client knows no chunks: its body ends with the connection.
    if (hasNoLength && !this.#writesChunks) client.keepAlive = false;
    const date = head.hasDate ? "" : this.#engine.dateLine;
    const framing = framingLine(head, this.#writesChunks);
    const text = `HTTP/1.1 ${head.statusLine}${date}${head.fields}${framing}${this.#connectionLine()}\r\n`;
    client.write(body === "" ? text : text + body);
  }

  /** False: the client is slower than the peer. */
  writeBody(piece: Buffer): boolean {
    return this.#client.writeBody(piece, this.#writesChunks);
  }

  /** The end of the origin's body. */
  writeEnd(head: ResponseHead, trailer: string): void {
    if (!this.#writesChunks) return;
    this.#client.write(`0\r\n${allowedTrailer(trailer, head.connection)}\r\n`);
  }

  /** The origin's body ends before its end: the client must be able to see that. */
  truncate(head: ResponseHead | undefined): void {
    this.#client.truncate(!this.#writesChunks && head?.framing !== "length");
  }

  /** The head after which the connection is a tunnel. */
  writeUpgrade(head: ResponseHead): void {
    const client = this.#client;
    client.keepAlive = false;
    client.write(
      `HTTP/1.1 ${head.statusLine}${head.fields}Connection: Upgrade\r\nUpgrade: ${head.upgrade}\r\n\r\n`,
    );
  }

  #settleKeepAlive(isRequestRead: boolean): void {
    if (!isRequestRead || this.#engine.isDraining) this.#client.keepAlive = false;
  }

  #connectionLine(): string {
    return connectionLine(this.#client.keepAlive, this.#head.minor);
  }
}
