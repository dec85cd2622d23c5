/**
 * An exchange's answer on its way to the client, be it the origin's or the gateway's own: its heads, the
 * framing of its body, its end, or the upgrade that takes its place. Tries that bring none are not seen here.
 */

import type { ClientConnection } from "../downstream/http1/client-connection.ts";
import type { Answer } from "../engine.ts";
import type { Http1Engine } from "../http-engine.ts";
import { answerFields, contentOf, statusLine } from "../message/answers.ts";
import type { ChunkSink } from "../message/chunked.ts";
import type { ResponseHead } from "../message/response-head.ts";
import { answerTrailer } from "../message/trailer.ts";
import type { PeerConnection } from "../upstream/http1/peer-connection.ts";
import type { Http1Exchange } from "./exchange.ts";
import { connectionLine, framingLine } from "./outgoing-heads.ts";
import { Tunnel } from "./tunnel.ts";

export class ClientAnswer<C> {
  /** Receives the decoded body of a chunked answer. */
  readonly bodySink: ChunkSink;
  readonly #engine: Http1Engine<C>;
  readonly #client: ClientConnection<C>;
  readonly #exchange: Http1Exchange<C>;
  #writesChunks = false;

  constructor(engine: Http1Engine<C>, client: ClientConnection<C>, exchange: Http1Exchange<C>) {
    this.#engine = engine;
    this.#client = client;
    this.#exchange = exchange;
    this.bodySink = {
      onChunkData: (buffer, from, to) => this.onResponseData(buffer, from, to),
    };
  }

  /**
   * A whole answer of the gateway's own; returns the bytes of its body. Throws a `TypeError` for a header
   * that is not valid, before anything is written.
   */
  writeOwn(answer: Answer): number {
    const fields = answerFields(answer);
    const client = this.#client;
    this.#settleKeepAlive();
    const { minor, method } = this.#exchange.head;
    const body = contentOf(answer);
    const length = typeof body === "string" ? Buffer.byteLength(body) : body.length;
    const hasBody = answer.status !== 204 && answer.status !== 304;
    const framing = hasBody ? `Content-Length: ${length}\r\n` : "";
    client.write(
      `HTTP/1.1 ${statusLine(answer.status)}${this.#engine.dateLine}${fields}${framing}${connectionLine(client.keepAlive, minor)}\r\n`,
    );
    if (!hasBody || length === 0 || method === "HEAD") return 0;
    client.writeBody(typeof body === "string" ? Buffer.from(body) : body, false);
    return length;
  }

  // What the peer connection tells.

  onInformational(head: ResponseHead): void {
    const exchange = this.#exchange;
    // An HTTP/1.0 client does not know them (RFC 9110 section 15.2).
    if (exchange.head.minor === 0) return;
    const hasRoom = this.#client.write(`HTTP/1.1 ${head.statusLine}${head.fields}\r\n`);
    if (!hasRoom) exchange.peerRequest.connection?.pause();
  }

  /** `body` is the whole body when it came along with the head, as latin1; empty otherwise. */
  onResponseHead({ head }: PeerConnection<C>, body: string): void {
    const exchange = this.#exchange;
    const client = this.#client;
    exchange.peerRequest.onAnswered();
    if (!this.#show(head)) return;
    exchange.phase = "answering";
    this.#settleKeepAlive();
    const { minor } = exchange.head;
    const hasNoLength = head.framing === "chunked" || head.framing === "close";
    this.#writesChunks = hasNoLength && minor === 1;
    // An HTTP/1.0 client knows no chunks: its body ends with the connection.
    if (hasNoLength && !this.#writesChunks) client.keepAlive = false;
    const date = head.hasDate ? "" : this.#engine.dateLine;
    const framing = framingLine(head, this.#writesChunks);
    const connection = connectionLine(client.keepAlive, minor);
    const text = `HTTP/1.1 ${head.statusLine}${date}${head.fields}${framing}${connection}\r\n`;
    exchange.bytesOut += body.length;
    client.write(body === "" ? text : text + body);
  }

  onResponseData(buffer: Buffer, from: number, to: number): void {
    const exchange = this.#exchange;
    if (exchange.phase !== "answering" || to === from) return;
    exchange.bytesOut += to - from;
    const piece = from === 0 && to === buffer.length ? buffer : buffer.subarray(from, to);
    const hasRoom = this.#client.writeBody(piece, this.#writesChunks);
    if (!hasRoom) exchange.peerRequest.connection?.pause();
  }

  onResponseEnd(trailer: string): void {
    const exchange = this.#exchange;
    const { connection } = exchange.peerRequest;
    if (connection === null || exchange.phase !== "answering") return;
    if (this.#writesChunks)
      this.#client.write(`0\r\n${answerTrailer(trailer, connection.head.connection)}\r\n`);
    exchange.peerRequest.finish();
    exchange.end();
  }

  /** The answer ends before its end: the client must be able to see that. */
  onTruncated(code: string): void {
    const exchange = this.#exchange;
    const { connection } = exchange.peerRequest;
    exchange.errorCode = code;
    exchange.peerRequest.drop();
    this.#client.truncate(!this.#writesChunks && connection?.head.framing !== "length");
    exchange.end();
  }

  /** The peer switched protocols; `first` is what came behind its head. */
  onUpgraded(connection: PeerConnection<C>, first: Buffer): void {
    const exchange = this.#exchange;
    const client = this.#client;
    const { head } = connection;
    if (!this.#show(head)) return;
    exchange.phase = "tunnel";
    client.keepAlive = false;
    client.write(
      `HTTP/1.1 ${head.statusLine}${head.fields}Connection: Upgrade\r\nUpgrade: ${head.upgrade}\r\n\r\n`,
    );
    const tunnel = new Tunnel(client, connection, exchange);
    exchange.tunnel = tunnel;
    if (first.length > 0) tunnel.sendToClient(first);
    client.beginTunnel();
  }

  onTunnelClosed(): void {
    this.#exchange.peerRequest.drop();
    this.#client.endTunnel();
    this.#exchange.end();
  }

  /** Shows the origin's head to the handler. False: the handler threw, and the exchange is over. */
  #show(head: ResponseHead): boolean {
    const exchange = this.#exchange;
    exchange.status = head.status;
    try {
      this.#engine.handler.onResponse(exchange);
      return true;
    } catch (error) {
      exchange.onHandlerThrew(error, exchange.serial);
      return false;
    }
  }

  #settleKeepAlive(): void {
    const { isRead } = this.#exchange.peerRequest;
    if (!isRead || this.#engine.isDraining) this.#client.keepAlive = false;
  }
}
