/**
 * One request on its way: the phases in their order, the tries, and what is written to either side.
 * A client connection has one, used again for each of its requests.
 */
import { allowedMethods, answerFields, errorAnswer, statusLine } from "../answers.ts";
import type { Answer, Exchange, PeerFailure } from "../engine.ts";
import { failureText, idempotent } from "../failures.ts";
import { isAuthority, isPath, isQuery, normaliseHost } from "../grammar.ts";
import type { Peer } from "../peer.ts";
import { allowedTrailer } from "../trailer.ts";
import type { ChunkSink } from "./chunked.ts";
import type { ClientConnection } from "./client-connection.ts";
import { HeldBody } from "./held-body.ts";
import type { Http1Engine } from "./http1.ts";
import { connectionLine, framingLine, requestText } from "./outgoing-heads.ts";
import { PeerConnection } from "./peer-connection.ts";
import type { RequestHead } from "./request-head.ts";
import type { ResponseHead } from "./response-head.ts";

/**
 * `handling`: in a phase of the handler's. `held`: the handler waits for something. `trying`: on its
 * way to a peer. `answering`: the answer's head is out. `tunnel`: upgraded.
 */
type Phase = "over" | "handling" | "held" | "trying" | "answering" | "tunnel";

export class Http1Exchange<C> implements Exchange<C> {
  context: C | null = null;
  serial = 0;
  peer: Peer | null = null;
  tries = 0;
  status = 0;
  errorCode = "";
  startedAtMs = 0;
  durationMs = 0;
  bytesIn = 0;
  bytesOut = 0;
  readonly head: RequestHead;
  /** Receives the decoded body of a chunked answer. */
  readonly responseSink: ChunkSink;
  readonly #engine: Http1Engine<C>;
  readonly #client: ClientConnection<C>;
  #phase: Phase = "over";
  #id = "";
  #authority = "";
  #host = "";
  #normalised = "";
  #path = "";
  #query = "";
  #isPathChanged = false;
  readonly #tried: Peer[] = [];
  #connection: PeerConnection<C> | null = null;
  /** Whether it waits for a connection of its peer. */
  #isWaiting = false;
  readonly #held = new HeldBody();
  #isRequestDone = false;
  #requestTrailer = "";
  #writesChunks = false;

  constructor(engine: Http1Engine<C>, client: ClientConnection<C>, head: RequestHead) {
    this.#engine = engine;
    this.#client = client;
    this.head = head;
    this.responseSink = {
      onChunkData: (buffer, from, to) => this.onResponseData(buffer, from, to),
    };
  }

  // What the handler sees.

  get id(): string {
    if (this.#id === "") {
      const given = this.head.requestId;
      const isKept = this.#client.isTrusted && given !== "" && given.length <= 128;
      this.#id = isKept ? given : this.#engine.nextId();
    }
    return this.#id;
  }

  get method(): string {
    return this.head.method;
  }

  get scheme(): "http" | "https" {
    return "http";
  }

  get clientAddress(): string {
    return this.#client.address;
  }

  get authority(): string {
    return this.#authority;
  }

  set authority(value: string) {
    if (!isAuthority(value)) throw new TypeError(`host ${JSON.stringify(value)}: not a host`);
    this.#setAuthority(value);
  }

  get host(): string {
    return this.#host;
  }

  get path(): string {
    return this.#path;
  }

  set path(value: string) {
    if (!isPath(value)) throw new TypeError(`path ${JSON.stringify(value)}: not a path`);
    this.#path = value;
    this.#isPathChanged = true;
  }

  get query(): string {
    return this.#query;
  }

  set query(value: string) {
    if (!isQuery(value)) throw new TypeError(`query ${JSON.stringify(value)}: not a query`);
    this.#query = value;
    this.#isPathChanged = true;
  }

  get hasBody(): boolean {
    return this.head.hasBody;
  }

  get rawHeaders(): string {
    return this.head.fields.raw;
  }

  header(name: string): string | undefined {
    return this.head.fields.get(name);
  }

  setHeader(name: string, value: string): void {
    this.head.fields.set(name, value);
  }

  removeHeader(name: string): void {
    this.head.fields.remove(name);
  }

  tried(peer: Peer): boolean {
    return this.#tried.includes(peer);
  }

  get rawResponseHeaders(): string {
    return this.#connection?.head.fields.raw ?? "";
  }

  responseHeader(name: string): string | undefined {
    return this.#connection?.head.fields.get(name);
  }

  setResponseHeader(name: string, value: string): void {
    this.#connection?.head.fields.set(name, value);
  }

  addResponseHeader(name: string, value: string): void {
    this.#connection?.head.fields.add(name, value);
  }

  removeResponseHeader(name: string): void {
    this.#connection?.head.fields.remove(name);
  }

  answer(answer: Answer): void {
    if (this.#phase !== "handling" && this.#phase !== "held") {
      throw new Error("the exchange has been answered or is on its way to a peer");
    }
    this.#answer(answer);
  }

  fail(status: number, code: string, message: string): void {
    this.errorCode = code;
    this.answer(errorAnswer(status, code, message, this.header("accept")));
  }

  hold(): void {
    if (this.#phase === "handling") this.#phase = "held";
  }

  resume(): void {
    if (this.#phase !== "held") return;
    this.#phase = "handling";
    this.#run();
  }

  // What the client connection tells.

  /** The head has been read into `head`. */
  begin(): void {
    const { head } = this;
    this.serial += 1;
    this.#engine.requests += 1;
    this.#engine.exchanges += 1;
    this.context = null;
    this.peer = null;
    this.tries = 0;
    this.status = 0;
    this.errorCode = "";
    this.startedAtMs = this.#engine.now();
    this.durationMs = 0;
    this.bytesIn = 0;
    this.bytesOut = 0;
    this.#id = "";
    const question = head.target.indexOf("?");
    this.#path = question === -1 ? head.target : head.target.slice(0, question);
    this.#query = question === -1 ? "" : head.target.slice(question + 1);
    this.#isPathChanged = false;
    this.#setAuthority(head.authority);
    this.#tried.length = 0;
    this.#held.reset();
    this.#isRequestDone = !this.hasBody;
    this.#requestTrailer = "";
    this.#phase = "handling";
    this.#run();
  }

  get isOver(): boolean {
    return this.#phase === "over";
  }

  /** Body bytes of the client's. False: there is no room for more before `onPeerDrain`. */
  onRequestData(buffer: Buffer, from: number, to: number): boolean {
    this.bytesIn += to - from;
    if (this.#phase === "over") return true;
    const piece = buffer.subarray(from, to);
    const connection = this.#connection;
    const isSent = connection !== null && !connection.isConnecting;
    const held = this.#held;
    if (held.isWhole && this.#phase !== "answering") {
      held.push(piece);
      if (isSent && held.isFull) held.letGo();
    }
    return isSent ? connection.sendBody(piece, this.head.isChunked) : !held.isFull;
  }

  onRequestEnd(trailer: string): void {
    this.#isRequestDone = true;
    this.#requestTrailer = allowedTrailer(trailer, this.head.connection);
    const connection = this.#connection;
    if (connection !== null && !connection.isConnecting) this.#sendBodyEnd(connection);
  }

  /** The client's request body is malformed, too large or too late. */
  onRequestBroken(status: number, code: string, message: string): void {
    if (this.#phase === "over") return;
    this.#dropPeer();
    this.errorCode = code;
    if (this.status !== 0 || this.#phase === "answering") {
      this.#client.destroy();
      this.#end();
    } else {
      this.#answer(errorAnswer(status, code, message, this.header("accept")));
    }
  }

  onClientGone(): void {
    if (this.#phase === "over") return;
    this.errorCode = "client_closed";
    this.#dropPeer();
    this.#end();
  }

  /** The client takes bytes again. */
  onClientDrain(): void {
    this.#connection?.resume();
  }

  /** Bytes of an upgraded connection, from the client. False: wait for `onPeerDrain`. */
  sendTunnel(bytes: Buffer): boolean {
    this.bytesIn += bytes.length;
    return this.#connection?.sendRaw(bytes) ?? true;
  }

  endTunnel(): void {
    this.#connection?.endRaw();
  }

  // What the peer connection tells.

  /** A connection to the peer is there, or on its way. */
  onConnection(connection: PeerConnection<C>): void {
    this.#isWaiting = false;
    this.#connection = connection;
    if (!connection.isConnecting) this.onPeerReady(connection);
  }

  /** No connection of the peer became free in time. */
  onQueueTimeout(): void {
    this.#giveUpWaiting("queue_timeout", `no peer of ${this.#host} became free in time`);
  }

  onPeerReady(connection: PeerConnection<C>): void {
    const isChunked = this.head.isChunked;
    const { head, path, query } = this;
    let target = head.target;
    if (this.#isPathChanged) target = query === "" ? path : `${path}?${query}`;
    const text = requestText(head, this.#client, target, this.#authority, this.id);
    connection.sendHead(text, this.#held.pieces, isChunked);
    if (this.#isRequestDone) this.#sendBodyEnd(connection);
    if (this.#held.isFull) this.#held.letGo();
    this.#client.resumeReading();
  }

  onPeerDrain(connection: PeerConnection<C>): void {
    if (this.#isRequestDone) connection.awaitAnswer();
    this.#client.resumeReading();
  }

  onPeerFailed(connection: PeerConnection<C>, failure: PeerFailure): void {
    const { peer } = connection;
    this.#connection = null;
    peer.inFlight -= 1;
    const mayResend =
      !connection.hasAnswered && this.#held.isWhole && idempotent.has(this.head.method);
    if (failure.code === "reset" && connection.isReused && mayResend) {
      // The peer closed a kept connection just as the request went out: no fault of either side.
      this.#connect(peer, true);
      return;
    }
    this.#phase = "handling";
    try {
      this.#engine.handler.onPeerFailure(this, peer, failure);
    } catch (error) {
      this.#onHandlerThrew(error);
      return;
    }
    const wasNeverSent = failure.code === "connect_failed" || failure.code === "connect_timeout";
    const isSafe = wasNeverSent || (failure.code === "reset" && mayResend);
    if (isSafe && this.tries < this.#engine.limits.maxTries) {
      this.#try(failure);
      return;
    }
    this.#failAfter(failure);
  }

  onInformational(head: ResponseHead): void {
    // An HTTP/1.0 client does not know them (RFC 9110 section 15.2).
    if (this.head.minor === 0) return;
    const hasRoom = this.#client.write(`HTTP/1.1 ${head.statusLine}${head.fields}\r\n`);
    if (!hasRoom) this.#connection?.pause();
  }

  /** `body` is the whole body when it came along with the head, as latin1; empty otherwise. */
  onResponseHead(connection: PeerConnection<C>, body: string): void {
    const { head } = connection;
    this.status = head.status;
    this.#held.letGo();
    try {
      this.#engine.handler.onResponse(this);
    } catch (error) {
      this.#onHandlerThrew(error);
      return;
    }
    this.#phase = "answering";
    const client = this.#client;
    if (!this.#isRequestDone || this.#engine.isDraining) client.keepAlive = false;
    const hasNoLength = head.framing === "chunked" || head.framing === "close";
    this.#writesChunks = hasNoLength && this.head.minor === 1;
    // An HTTP/1.0 client knows no chunks: its body ends with the connection.
    if (hasNoLength && !this.#writesChunks) client.keepAlive = false;
    const date = head.hasDate ? "" : this.#engine.dateLine;
    const framing = framingLine(head, this.#writesChunks);
    const text = `HTTP/1.1 ${head.statusLine}${date}${head.fields}${framing}${this.#connectionLine()}\r\n`;
    this.bytesOut += body.length;
    client.write(body === "" ? text : text + body);
  }

  onResponseData(buffer: Buffer, from: number, to: number): void {
    if (this.#phase !== "answering" || to === from) return;
    this.bytesOut += to - from;
    const piece = from === 0 && to === buffer.length ? buffer : buffer.subarray(from, to);
    if (!this.#client.writeBody(piece, this.#writesChunks)) this.#connection?.pause();
  }

  onResponseEnd(trailer: string): void {
    const connection = this.#connection;
    if (connection === null || this.#phase !== "answering") return;
    if (this.#writesChunks)
      this.#client.write(`0\r\n${allowedTrailer(trailer, connection.head.connection)}\r\n`);
    const keep = connection.head.keepAlive && this.#isRequestDone;
    connection.peer.inFlight -= 1;
    this.#connection = null;
    connection.release(keep);
    this.#end();
  }

  /** The answer ends before its end: the client must be able to see that. */
  onTruncated(code: string): void {
    this.errorCode = code;
    const isBare = !this.#writesChunks && this.#connection?.head.framing !== "length";
    this.#dropPeer();
    this.#client.truncate(isBare);
    this.#end();
  }

  onUpgraded(connection: PeerConnection<C>, first: Buffer): void {
    this.status = 101;
    try {
      this.#engine.handler.onResponse(this);
    } catch (error) {
      this.#onHandlerThrew(error);
      return;
    }
    const { head } = connection;
    this.#phase = "tunnel";
    this.#client.keepAlive = false;
    const text = `HTTP/1.1 ${head.statusLine}${head.fields}Connection: Upgrade\r\nUpgrade: ${head.upgrade}\r\n\r\n`;
    this.#client.write(text);
    if (first.length > 0) this.onTunnelData(first);
    this.#client.beginTunnel();
  }

  onTunnelData(bytes: Buffer): void {
    this.bytesOut += bytes.length;
    this.#client.touchTunnel();
    if (!this.#client.writeBody(bytes, false)) this.#connection?.pause();
  }

  onTunnelEnd(): void {
    this.#client.endTunnel();
  }

  onTunnelClosed(): void {
    this.#dropPeer();
    this.#client.endTunnel();
    this.#end();
  }

  // The phases.

  #run(): void {
    try {
      this.#engine.handler.onRequest(this);
    } catch (error) {
      this.#onHandlerThrew(error);
      return;
    }
    if (this.#phase !== "handling") return;
    const { method } = this.head;
    if ((method === "OPTIONS" || method === "TRACE") && this.#isLastRecipient()) {
      const headers = { allow: allowedMethods };
      // To show a request to whoever sent it tells him what the proxies in between have added.
      this.#answer({ status: method === "TRACE" ? 405 : 200, headers });
      return;
    }
    this.#try(null);
  }

  /** Counts `Max-Forwards` down (RFC 9110 section 7.6.2). True when it was 0 already. */
  #isLastRecipient(): boolean {
    const left = this.header("max-forwards");
    if (left === undefined || !/^[0-9]{1,9}$/.test(left)) return false;
    if (Number(left) === 0) return true;
    this.setHeader("Max-Forwards", String(Number(left) - 1));
    return false;
  }

  #try(last: PeerFailure | null): void {
    let peer: Peer | null;
    try {
      peer = this.#engine.handler.onPick(this);
    } catch (error) {
      this.#onHandlerThrew(error);
      return;
    }
    if (this.#phase !== "handling") return;
    if (peer === null) {
      this.#failAfter(last);
      return;
    }
    this.#connect(peer, false);
  }

  #connect(peer: Peer, isFresh: boolean): void {
    this.#phase = "trying";
    if (!isFresh) {
      this.tries += 1;
      this.#tried.push(peer);
    }
    this.peer = peer;
    peer.inFlight += 1;
    const connection = PeerConnection.open(this.#engine, peer, this, isFresh);
    if (connection !== null) this.onConnection(connection);
    else if (this.#engine.waitForPeer(peer, this)) this.#isWaiting = true;
    else this.#giveUpWaiting("queue_full", `too many requests wait for a peer of ${this.#host}`);
  }

  #giveUpWaiting(code: string, message: string): void {
    this.#isWaiting = false;
    if (this.peer !== null) this.peer.inFlight -= 1;
    this.errorCode = code;
    this.#engine.countRefused(code);
    this.#answerError(503, message);
  }

  #failAfter(failure: PeerFailure | null): void {
    const name = this.#host;
    if (failure === null) {
      this.errorCode = "no_peer";
      this.#answerError(503, `no healthy peer for ${name}`);
      return;
    }
    this.errorCode = failure.code;
    const isTime = failure.code === "connect_timeout" || failure.code === "response_timeout";
    this.#answerError(isTime ? 504 : 502, failureText(failure, name));
  }

  #answerError(status: number, message: string): void {
    this.#answer(errorAnswer(status, this.errorCode, message, this.header("accept")));
  }

  #answer(answer: Answer): void {
    const fields = answerFields(answer);
    const client = this.#client;
    if (!this.#isRequestDone || this.#engine.isDraining) client.keepAlive = false;
    this.status = answer.status;
    this.#phase = "answering";
    const body = answer.body ?? "";
    const length = typeof body === "string" ? Buffer.byteLength(body) : body.length;
    const hasBody = answer.status !== 204 && answer.status !== 304;
    const framing = hasBody ? `Content-Length: ${length}\r\n` : "";
    client.write(
      `HTTP/1.1 ${statusLine(answer.status)}${this.#engine.dateLine}${fields}${framing}${this.#connectionLine()}\r\n`,
    );
    if (hasBody && length > 0 && this.head.method !== "HEAD") {
      this.bytesOut += length;
      client.writeBody(typeof body === "string" ? Buffer.from(body) : body, false);
    }
    this.#end();
  }

  #connectionLine(): string {
    return connectionLine(this.#client.keepAlive, this.head.minor);
  }

  #sendBodyEnd(connection: PeerConnection<C>): void {
    if (this.head.isChunked) connection.sendText(`0\r\n${this.#requestTrailer}\r\n`);
    connection.awaitAnswer();
  }

  #setAuthority(value: string): void {
    this.#authority = value;
    // Requests of one connection mostly name one host: its normal form is kept.
    if (value !== this.#normalised) {
      this.#normalised = value;
      this.#host = normaliseHost(value);
    }
  }

  #dropPeer(): void {
    if (this.#isWaiting && this.peer !== null) {
      this.#isWaiting = false;
      this.peer.inFlight -= 1;
      this.#engine.leaveQueue(this.peer, this);
    }
    const connection = this.#connection;
    if (connection === null) return;
    this.#connection = null;
    connection.peer.inFlight -= 1;
    connection.destroy();
  }

  #onHandlerThrew(error: unknown): void {
    this.#engine.onError(error);
    this.#dropPeer();
    if (this.#phase === "over" || this.#phase === "answering") return;
    this.errorCode = "handler_error";
    this.#answerError(500, "the gateway failed on this request");
  }

  #end(): void {
    if (this.#phase === "over") return;
    this.#phase = "over";
    this.serial += 1;
    this.#held.reset();
    this.#engine.exchanges -= 1;
    this.durationMs = this.#engine.now() - this.startedAtMs;
    try {
      this.#engine.handler.onEnd(this);
    } catch (error) {
      this.#engine.onError(error);
    }
    this.#client.onExchangeOver(this.#isRequestDone);
  }
}
