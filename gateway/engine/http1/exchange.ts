/**
 * One request on its way: what the handler sees of it, and its phases in their order. A client connection
 * has one, used again for each of its requests. The way to a peer is in `peer-request.ts`, the way back in
 * `client-answer.ts`.
 */

import type { ClientConnection } from "../downstream/http1/client-connection.ts";
import type { Answer, Exchange, TryLimits } from "../engine.ts";
import { answerAsLastRecipient } from "../exchange/last-recipient.ts";
import type { Http1Engine } from "../http-engine.ts";
import { errorAnswer } from "../message/answers.ts";
import type { RequestHead } from "../message/request-head.ts";
import { RequestTarget } from "../message/request-target.ts";
import type { Peer } from "../peer.ts";
import { ClientAnswer } from "./client-answer.ts";
import { PeerRequest } from "./peer-request.ts";
import type { Tunnel } from "./tunnel.ts";

/**
 * `handling`: in a phase of the handler's. `held`: the handler waits for something. `trying`: on its
 * way to a peer. `answering`: the answer's head is out. `tunnel`: upgraded.
 */
type Phase = "over" | "handling" | "held" | "trying" | "answering" | "tunnel";

export class Http1Exchange<C> implements Exchange<C> {
  context: C | null = null;
  serial = 0;
  status = 0;
  errorCode = "";
  startedAtMs = 0;
  durationMs = 0;
  bytesIn = 0;
  bytesOut = 0;
  tryLimits: TryLimits | null = null;
  trailers: ReadonlySet<string> | null = null;
  phase: Phase = "over";
  readonly head: RequestHead;
  readonly target: RequestTarget;
  readonly peerRequest: PeerRequest<C>;
  readonly clientAnswer: ClientAnswer<C>;
  /** Of an upgraded connection. */
  tunnel: Tunnel<C> | null = null;
  readonly #engine: Http1Engine<C>;
  readonly #client: ClientConnection<C>;
  #id = "";

  constructor(engine: Http1Engine<C>, client: ClientConnection<C>, head: RequestHead) {
    this.#engine = engine;
    this.#client = client;
    this.head = head;
    this.target = new RequestTarget(engine.forwardedPath);
    this.peerRequest = new PeerRequest(engine, client, this);
    this.clientAnswer = new ClientAnswer(engine, client, this);
  }

  // What the handler sees.

  get id(): string {
    if (this.#id === "") {
      const given = this.head.requestId;
      const isKept = this.head.proxy !== null && given !== "" && given.length <= 128;
      this.#id = isKept ? given : this.#engine.nextId();
    }
    return this.#id;
  }

  get method(): string {
    return this.head.method;
  }

  get scheme(): "http" | "https" {
    return this.head.story?.scheme ?? "http";
  }

  get clientAddress(): string {
    return this.head.story?.address ?? this.#client.address;
  }

  get proxyAddress(): string {
    return this.head.proxy?.address ?? "";
  }

  get listener(): number {
    return this.#client.listener;
  }

  get authority(): string {
    return this.target.authority;
  }

  set authority(value: string) {
    this.target.authority = value;
  }

  get host(): string {
    return this.target.host;
  }

  get path(): string {
    return this.target.path;
  }

  set path(value: string) {
    this.target.path = value;
  }

  get rawPath(): string {
    return this.target.rawPath;
  }

  get hasEncodedSlash(): boolean {
    return this.target.hasEncodedSlash;
  }

  get query(): string {
    return this.target.query;
  }

  set query(value: string) {
    this.target.query = value;
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

  get peer(): Peer | null {
    return this.peerRequest.peer;
  }

  get tries(): number {
    return this.peerRequest.tries;
  }

  tried(peer: Peer): boolean {
    return this.peerRequest.tried(peer);
  }

  get rawResponseHeaders(): string {
    return this.peerRequest.connection?.head.fields.raw ?? "";
  }

  responseHeader(name: string): string | undefined {
    return this.peerRequest.connection?.head.fields.get(name);
  }

  setResponseHeader(name: string, value: string): void {
    this.peerRequest.connection?.head.fields.set(name, value);
  }

  addResponseHeader(name: string, value: string): void {
    this.peerRequest.connection?.head.fields.add(name, value);
  }

  removeResponseHeader(name: string): void {
    this.peerRequest.connection?.head.fields.remove(name);
  }

  answer(answer: Answer): void {
    if (this.phase !== "handling" && this.phase !== "held") {
      throw new Error("the exchange has been answered or is on its way to a peer");
    }
    this.#give(answer);
  }

  fail(status: number, code: string, message: string): void {
    this.errorCode = code;
    this.answer(errorAnswer(status, code, message, this.header("accept")));
  }

  hold(): void {
    if (this.phase === "handling") this.phase = "held";
  }

  resume(): void {
    if (this.phase !== "held") return;
    this.phase = "handling";
    this.#run();
  }

  // What the client connection tells.

  /** The head has been read into `head`. `body`: the whole of it, when it came along; else `null`. */
  begin(body: Buffer | null): void {
    const { head } = this;
    this.serial += 1;
    this.#engine.requests += 1;
    this.#engine.exchanges += 1;
    this.context = null;
    this.tryLimits = null;
    this.status = 0;
    this.errorCode = "";
    this.startedAtMs = this.#engine.now();
    this.durationMs = 0;
    this.bytesIn = body === null ? 0 : body.length;
    this.bytesOut = 0;
    this.#id = "";
    this.trailers = null;
    this.target.begin(head.target, head.authority);
    this.peerRequest.begin(head.hasBody, body);
    this.phase = "handling";
    this.#run();
  }

  /** Body bytes of the client's. False: there is no room for more before `onPeerDrain`. */
  onRequestData(buffer: Buffer, from: number, to: number): boolean {
    this.bytesIn += to - from;
    if (this.phase === "over") return true;
    return this.peerRequest.sendBody(buffer.subarray(from, to));
  }

  onRequestEnd(trailer: string): void {
    this.peerRequest.sendEnd(trailer);
  }

  /** The client's request body is malformed, too large or too late. */
  onRequestBroken(status: number, code: string, message: string): void {
    if (this.phase === "over") return;
    this.peerRequest.drop();
    if (this.status === 0) {
      this.giveError(status, code, message);
      return;
    }
    this.errorCode = code;
    this.#client.destroy();
    this.end();
  }

  onClientGone(): void {
    if (this.phase === "over") return;
    this.errorCode = "client_closed";
    this.peerRequest.drop();
    this.end();
  }

  /** The client takes bytes again. */
  onClientDrain(): void {
    this.peerRequest.connection?.resume();
  }

  // The phases.

  #run(): void {
    const { serial } = this;
    try {
      this.#engine.handler.onRequest(this);
    } catch (error) {
      this.onHandlerThrew(error, serial);
      return;
    }
    if (this.phase !== "handling") return;
    const answer = answerAsLastRecipient(this);
    if (answer === null) this.peerRequest.try(null);
    else this.#give(answer);
  }

  /**
   * Ends the exchange with 500. `serial`: its number before, since the handler may have answered it, and
   * the client's next request may have begun.
   */
  onHandlerThrew(error: unknown, serial: number): void {
    this.#engine.onError(error);
    if (serial !== this.serial) return;
    this.peerRequest.drop();
    this.giveError(500, "handler_error", "the gateway failed on this request");
  }

  /** Ends the exchange with an error, in whatever phase it is; nothing of an answer may be out. */
  giveError(status: number, code: string, message: string): void {
    this.errorCode = code;
    this.#give(errorAnswer(status, code, message, this.header("accept")));
  }

  #give(answer: Answer): void {
    this.bytesOut += this.clientAnswer.writeOwn(answer);
    this.status = answer.status;
    this.end();
  }

  /** Whatever was to be written is. */
  end(): void {
    if (this.phase === "over") return;
    this.phase = "over";
    this.serial += 1;
    this.tunnel = null;
    this.peerRequest.end();
    this.#engine.exchanges -= 1;
    this.durationMs = this.#engine.now() - this.startedAtMs;
    try {
      this.#engine.handler.onEnd(this);
    } catch (error) {
      this.#engine.onError(error);
    }
    this.#client.onExchangeOver(this.peerRequest.isRead);
  }
}
