/**
 * One request on its way through the reference engine: the same phases, tries and ends as in `http1/`,
 * on the objects of `node:http`.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { allowedMethods, answerFields, errorAnswer } from "../answers.ts";
import type { Answer, Exchange, PeerFailure } from "../engine.ts";
import { failureText, idempotent } from "../failures.ts";
import { forwardedLines } from "../forwarding.ts";
import { isAuthority, isPath, isQuery, normaliseHost } from "../grammar.ts";
import type { Peer } from "../peer.ts";
import { AnswerPlan } from "./answer-plan.ts";
import type { ClientSession } from "./client-session.ts";
import type { Outgoing, Try } from "./forwarder.ts";
import { HeaderList, optionsOf } from "./header-list.ts";
import type { PeerPool } from "./peer-pool.ts";
import type { ReferenceEngine } from "./reference.ts";
import { RequestBody } from "./request-body.ts";
import { bodyTooLarge, type RequestPlan } from "./request-plan.ts";
import { trailerPairs } from "./trailers.ts";
import { Tunnel } from "./tunnel.ts";

type Phase = "over" | "handling" | "held" | "waiting" | "trying" | "answering" | "tunnel";

export class ReferenceExchange<C> implements Exchange<C> {
  context: C | null = null;
  serial: number;
  readonly id: string;
  peer: Peer | null = null;
  tries = 0;
  status = 0;
  errorCode = "";
  readonly startedAtMs: number;
  durationMs = 0;
  bytesIn = 0;
  bytesOut = 0;
  readonly #engine: ReferenceEngine<C>;
  readonly #session: ClientSession<C>;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #plan: RequestPlan;
  readonly #body: RequestBody;
  readonly #tried: Peer[] = [];
  #phase: Phase = "handling";
  #authority: string;
  #path: string;
  #query: string;
  #isPathChanged = false;
  #pool: PeerPool | null = null;
  #try: Try | null = null;
  #answer: AnswerPlan | null = null;
  #tunnel: Tunnel | null = null;
  #isFlooded = false;
  /** Engine clock; 0: none. `#clientDeadline` is for the client to move, `#peerDeadline` for the peer. */
  #clientDeadline = 0;
  #peerDeadline = 0;
  #unsent = 0;

  constructor(
    engine: ReferenceEngine<C>,
    session: ClientSession<C>,
    request: IncomingMessage,
    response: ServerResponse,
    plan: RequestPlan,
  ) {
    this.#engine = engine;
    this.#session = session;
    this.#request = request;
    this.#response = response;
    this.#plan = plan;
    this.serial = engine.nextSerial();
    const given = plan.requestId;
    const isKept = session.isTrusted && given !== "" && given.length <= 128;
    this.id = isKept ? given : engine.nextId();
    this.startedAtMs = engine.now();
    this.#authority = plan.authority;
    const question = plan.target.indexOf("?");
    this.#path = question === -1 ? plan.target : plan.target.slice(0, question);
    this.#query = question === -1 ? "" : plan.target.slice(question + 1);
    if (this.hasBody) this.#awaitBody();
    this.#body = new RequestBody(request, !this.hasBody, {
      onBytes: (count) => this.#onRequestData(count),
      onEnd: () => this.#onRequestEnd(),
    });
    response.on("drain", () => this.#try === null || this.#onClientDrain());
  }

  // What the handler sees.

  get method(): string {
    return this.#request.method ?? "";
  }

  get scheme(): "http" | "https" {
    return "http";
  }

  get clientAddress(): string {
    return this.#session.address;
  }

  get authority(): string {
    return this.#authority;
  }

  set authority(value: string) {
    if (!isAuthority(value)) throw new TypeError(`host ${JSON.stringify(value)}: not a host`);
    this.#authority = value;
  }

  get host(): string {
    return normaliseHost(this.#authority);
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
    return this.#plan.isChunked || this.#plan.contentLength > 0;
  }

  get rawHeaders(): string {
    return this.#plan.headers.raw;
  }

  header(name: string): string | undefined {
    return this.#plan.headers.get(name);
  }

  setHeader(name: string, value: string): void {
    this.#plan.headers.set(name, value);
  }

  removeHeader(name: string): void {
    this.#plan.headers.remove(name);
  }

  tried(peer: Peer): boolean {
    return this.#tried.includes(peer);
  }

  get rawResponseHeaders(): string {
    return this.#answer?.headers.raw ?? "";
  }

  responseHeader(name: string): string | undefined {
    return this.#answer?.headers.get(name);
  }

  setResponseHeader(name: string, value: string): void {
    this.#answer?.headers.set(name, value);
  }

  addResponseHeader(name: string, value: string): void {
    this.#answer?.headers.add(name, value);
  }

  removeResponseHeader(name: string): void {
    this.#answer?.headers.remove(name);
  }

  answer(answer: Answer): void {
    if (this.#phase !== "handling" && this.#phase !== "held") {
      throw new Error("the exchange has been answered or is on its way to a peer");
    }
    this.#give(answer);
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
    this.run();
  }

  // What the session tells.

  run(): void {
    try {
      this.#engine.handler.onRequest(this);
    } catch (error) {
      this.#onHandlerThrew(error);
      return;
    }
    if (this.#phase !== "handling") return;
    if ((this.method === "OPTIONS" || this.method === "TRACE") && this.#isLastRecipient()) {
      this.#give({
        status: this.method === "TRACE" ? 405 : 200,
        headers: { allow: allowedMethods },
      });
      return;
    }
    this.#pick(null);
  }

  /** Counts `Max-Forwards` down (RFC 9110 section 7.6.2). True when it was 0 already. */
  #isLastRecipient(): boolean {
    const left = this.header("max-forwards");
    if (left === undefined || !/^[0-9]{1,9}$/.test(left)) return false;
    if (Number(left) === 0) return true;
    this.setHeader("Max-Forwards", String(Number(left) - 1));
    return false;
  }

  /** Whether the parser has not seen the end of the request: what it has seen may not have come here yet. */
  get isReadingBody(): boolean {
    return !this.#request.complete;
  }

  get isTunnel(): boolean {
    return this.#phase === "tunnel";
  }

  onClientGone(): void {
    if (this.#phase === "over") return;
    this.errorCode = "client_closed";
    this.#dropPeer();
    this.#end();
  }

  /** The client's request body is malformed, too large or too late. */
  onRequestBroken(status: number, code: string, message: string): void {
    if (this.#phase === "over") return;
    this.#dropPeer();
    this.errorCode = code;
    if (this.status !== 0) {
      this.#session.destroy();
      this.#end();
    } else {
      this.#give(errorAnswer(status, code, message, this.header("accept")));
    }
  }

  onSweep(now: number): void {
    if (this.#peerDeadline !== 0 && now >= this.#peerDeadline) this.#onPeerLate();
    if (this.#clientDeadline !== 0 && now >= this.#clientDeadline) this.#onClientLate(now);
  }

  // What the pool tells.

  onTurn(): void {
    this.#phase = "trying";
    this.#send();
  }

  onQueueTimeout(): void {
    this.#refuseWaiting("queue_timeout", `no peer of ${this.host} became free in time`);
  }

  // The phases.

  #pick(last: PeerFailure | null): void {
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
    this.tries += 1;
    this.#tried.push(peer);
    this.#connect(peer);
  }

  #connect(peer: Peer): void {
    this.peer = peer;
    peer.inFlight += 1;
    const pool = this.#engine.poolOf(peer);
    this.#pool = pool;
    const turn = this.#engine.enter(pool, this);
    if (turn === "ready") this.onTurn();
    else if (turn === "waiting") this.#phase = "waiting";
    else this.#refuseWaiting("queue_full", `too many requests wait for a peer of ${this.host}`);
  }

  #refuseWaiting(code: string, message: string): void {
    this.#pool = null;
    if (this.peer !== null) this.peer.inFlight -= 1;
    this.errorCode = code;
    this.#engine.countRefused(code);
    this.#giveError(503, message);
  }

  #send(): void {
    const { peer } = this;
    const pool = this.#pool;
    if (peer === null || pool === null) return;
    this.#try = this.#engine.forwarder.send(
      this.#request,
      this.#response,
      peer,
      pool,
      this.#outgoing(),
      {
        onHead: () => this.#body.begin(),
        onConnected: () => this.#body.onConnected(),
        onSent: () => {
          if (this.#phase !== "trying") return;
          this.#peerDeadline = this.#engine.clock + this.#engine.limits.responseTimeoutMs;
        },
        onInformational: (status, rawHeaders) => this.#onInformational(status, rawHeaders),
        onResponse: (answer) => this.#onResponse(answer),
        onSwitched: (answer, socket, first) => this.#onSwitched(answer, socket, first),
        onFailed: (failure) => this.#onFailed(failure),
        onCut: (code) => this.#onCut(code),
      },
    );
  }

  #outgoing(): Outgoing {
    const plan = this.#plan;
    const session = this.#session;
    const headers: (readonly [string, string])[] = [["Host", this.#authority]];
    headers.push(...plan.headers.forwarded().filter(([name]) => !isTrailerOf(name, plan)));
    const said = session.isTrusted
      ? plan
      : { forwardedFor: "", forwardedProto: "http", forwardedHost: "" };
    for (const line of forwardedLines(said, session.address, plan.authority).split("\r\n")) {
      const colon = line.indexOf(": ");
      if (colon !== -1) headers.push([line.slice(0, colon), line.slice(colon + 2)]);
    }
    headers.push(["X-Request-Id", this.id], ["Via", `${this.#request.httpVersion} sluice`]);
    if (plan.expectsContinue) headers.push(["Expect", "100-continue"]);
    if (plan.takesTrailers) headers.push(["Connection", "TE"], ["TE", "trailers"]);
    if (plan.upgrade !== "") headers.push(["Connection", "Upgrade"], ["Upgrade", plan.upgrade]);
    let target = plan.target;
    if (this.#isPathChanged) {
      target = this.#query === "" ? this.#path : `${this.#path}?${this.#query}`;
    }
    let framing: Outgoing["framing"] = null;
    if (plan.isChunked) framing = ["Transfer-Encoding", "chunked"];
    else if (plan.contentLength !== -1) framing = ["Content-Length", String(plan.contentLength)];
    return { target, headers, framing, body: this.#body.open() };
  }

  #onRequestData(count: number): void {
    this.bytesIn += count;
    if (this.#phase === "over") return;
    this.#awaitBody();
    const { maxBodyBytes } = this.#engine.limits;
    if (maxBodyBytes > 0 && this.bytesIn > maxBodyBytes) {
      const { status, code, message } = bodyTooLarge(maxBodyBytes);
      this.#engine.countRefused(code);
      this.onRequestBroken(status, code, message);
    }
  }

  #onRequestEnd(): void {
    this.#clientDeadline = 0;
    if (this.#phase === "over") return;
    if (this.#plan.isChunked)
      this.#try?.addTrailers(
        trailerPairs(this.#request.rawTrailers, this.#plan.headers.connection),
      );
  }

  #onInformational(status: number, rawHeaders: string[]): void {
    if (this.#request.httpVersion === "1.0" || this.#response.headersSent) return;
    // Only then does `node:http` know that the client was told to go on.
    if (status === 100) this.#response.writeContinue();
    else this.#response.writeInformation(status, informationalHeaders(rawHeaders));
    if (this.#isFlooded || !this.#session.isFull) return;
    // An origin may send interim answers without end, and the client not read them.
    this.#isFlooded = true;
    this.#awaitClient();
    // `node:http` reads on after each of them: it can be stopped only once it has read what it has.
    process.nextTick(() => this.#try?.pause());
    this.#session.onceDrained(() => {
      this.#isFlooded = false;
      this.#try?.resume();
    });
  }

  #onResponse(message: IncomingMessage): void {
    const answer = AnswerPlan.read(message, this.method);
    if (typeof answer === "string") {
      const failure = `${this.peer?.key}: ${answer}`;
      this.#try?.cancel();
      this.#onFailed({ code: "bad_response", message: failure });
      return;
    }
    this.#answer = answer;
    this.status = answer.status;
    this.#peerDeadline = 0;
    this.#body.letGo();
    if (!this.#callOnResponse()) return;
    this.#phase = "answering";
    if (!this.#body.isDone || this.#engine.isDraining) this.#session.keepAlive = false;
    const isOld = this.#request.httpVersion === "1.0";
    const framing = answer.framing(isOld);
    if (framing === "close") this.#session.keepAlive = false;
    const response = this.#response;
    const headers = answer.headers
      .forwarded()
      .filter(([name]) => framing === "chunked" || name.toLowerCase() !== "trailer");
    if (framing === "length") headers.push(["Content-Length", String(answer.contentLength)]);
    this.#writeHead(answer.status, answer.reason, headers);
    // `flushHeaders` would write them as UTF-8.
    response.write("", "latin1");
    this.#touchPeer();
    message.on("data", (piece: Buffer) => {
      this.bytesOut += piece.length;
      this.#touchPeer();
      if (response.write(piece)) return;
      message.pause();
      this.#peerDeadline = 0;
      this.#awaitClient();
      response.once("drain", () => {
        message.resume();
        this.#touchPeer();
      });
    });
    message.on("end", () => {
      if (message.complete) this.#onResponseEnd(message, framing === "chunked");
    });
  }

  #onResponseEnd(message: IncomingMessage, isChunked: boolean): void {
    if (this.#phase !== "answering") return;
    if (isChunked) {
      const connection = this.#answer?.headers.connection ?? "";
      this.#response.addTrailers(trailerPairs(message.rawTrailers, connection));
    }
    this.#leavePeer(this.#body.isDone);
    this.#response.end();
    this.#end();
  }

  /** The answer ends before its end: the client must be able to see that. */
  #onCut(code: string): void {
    if (this.#phase !== "answering") return;
    this.errorCode = code;
    this.#dropPeer();
    const framing = this.#answer?.framing(this.#request.httpVersion === "1.0");
    this.#session.truncate(framing === "close");
    this.#end();
  }

  #onFailed(failure: PeerFailure): void {
    const { peer } = this;
    const attempt = this.#try;
    if (peer === null || attempt === null || this.#phase !== "trying") return;
    const mayRepeat = !attempt.hasAnswered && this.#body.canRepeat && idempotent.has(this.method);
    this.#leavePeer(false);
    if (failure.code === "reset" && attempt.isReused && mayRepeat) {
      // The peer closed a kept connection just as the request went out: no fault of either side.
      this.#connect(peer);
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
    const isSafe = wasNeverSent || (failure.code === "reset" && mayRepeat);
    if (isSafe && this.tries < this.#engine.limits.maxTries) this.#pick(failure);
    else this.#failAfter(failure);
  }

  #onSwitched(message: IncomingMessage, socket: Socket, first: Buffer): void {
    if (!isOffered(this.#plan.upgrade, message.headers.upgrade ?? "")) {
      socket.destroy();
      const failure = `${this.peer?.key}: 101 to a protocol that was not offered`;
      this.#onFailed({ code: "bad_response", message: failure });
      return;
    }
    const answer = AnswerPlan.switched(message);
    this.#answer = answer;
    this.status = 101;
    this.#peerDeadline = 0;
    if (!this.#callOnResponse()) {
      socket.destroy();
      return;
    }
    this.#phase = "tunnel";
    this.#session.keepAlive = false;
    const tunnel = new Tunnel(this.#session.takeSocket(), socket, {
      onBytes: (fromClient, count) => {
        if (fromClient) this.bytesIn += count;
        else this.bytesOut += count;
        this.#peerDeadline = this.#engine.clock + this.#engine.limits.tunnelTimeoutMs;
      },
      onClosed: () => {
        this.#leavePeer(false);
        this.#end();
      },
    });
    this.#tunnel = tunnel;
    this.#peerDeadline = this.#engine.clock + this.#engine.limits.tunnelTimeoutMs;
    const lines = answer.headers.forwarded().map(([name, value]) => `${name}: ${value}\r\n`);
    const head = `HTTP/1.1 101 ${answer.reason}\r\n${lines.join("")}Connection: Upgrade\r\nUpgrade: ${answer.upgrade}\r\n\r\n`;
    tunnel.begin(head, this.#session.takeAhead(), first);
  }

  /** False: the handler threw, and the exchange is over. */
  #callOnResponse(): boolean {
    try {
      this.#engine.handler.onResponse(this);
      return true;
    } catch (error) {
      this.#onHandlerThrew(error);
      return false;
    }
  }

  #failAfter(failure: PeerFailure | null): void {
    if (failure === null) {
      this.errorCode = "no_peer";
      this.#giveError(503, `no healthy peer for ${this.host}`);
      return;
    }
    this.errorCode = failure.code;
    const isTime = failure.code === "connect_timeout" || failure.code === "response_timeout";
    this.#giveError(isTime ? 504 : 502, failureText(failure, this.host));
  }

  #giveError(status: number, message: string): void {
    this.#give(errorAnswer(status, this.errorCode, message, this.header("accept")));
  }

  #give(answer: Answer): void {
    // Checks what the handler gave before anything is written.
    answerFields(answer);
    const headers: [string, string][] = [];
    for (const [name, values] of Object.entries(answer.headers ?? {})) {
      for (const value of typeof values === "string" ? [values] : values)
        headers.push([name, value]);
    }
    if (!this.#body.isDone || this.#engine.isDraining) this.#session.keepAlive = false;
    this.status = answer.status;
    this.#phase = "answering";
    const body = Buffer.from(answer.body ?? "");
    const hasBody = answer.status !== 204 && answer.status !== 304;
    if (hasBody) headers.push(["Content-Length", String(body.length)]);
    this.#writeHead(answer.status, undefined, headers);
    if (hasBody && this.method !== "HEAD") {
      this.bytesOut += body.length;
      this.#response.end(body);
    } else {
      this.#response.end();
    }
    this.#end();
  }

  #writeHead(
    status: number,
    reason: string | undefined,
    headers: readonly (readonly [string, string])[],
  ): void {
    const response = this.#response;
    const raw = headers.flat();
    if (!this.#session.keepAlive) raw.push("Connection", "close");
    // After an expectation that was not answered with 100 `node:http` closes unless it is told not to.
    else if (this.#request.httpVersion === "1.0" || this.header("expect") !== undefined) {
      raw.push("Connection", "keep-alive");
    }
    // Otherwise `node:http` would say of itself that the connection is kept.
    else response.removeHeader("Connection");
    if (reason === undefined) response.writeHead(status, raw);
    else response.writeHead(status, reason, raw);
  }

  #awaitBody(): void {
    this.#clientDeadline = this.#engine.clock + this.#engine.limits.bodyTimeoutMs;
  }

  #awaitClient(): void {
    this.#clientDeadline = this.#engine.clock + this.#engine.limits.bodyTimeoutMs;
    this.#unsent = this.#session.unsent;
  }

  #touchPeer(): void {
    this.#peerDeadline = this.#engine.clock + this.#engine.limits.bodyTimeoutMs;
  }

  #onClientDrain(): void {
    if (this.#body.isDone) this.#clientDeadline = 0;
  }

  #onPeerLate(): void {
    this.#peerDeadline = 0;
    if (this.#phase === "trying") {
      const message = `no answer from ${this.peer?.key} in time`;
      this.#try?.fail({ code: "response_timeout", message });
    } else if (this.#phase === "tunnel") {
      this.errorCode = "client_closed";
      this.#tunnel?.close();
    } else {
      this.#onCut("body_timeout");
    }
  }

  #onClientLate(now: number): void {
    if (this.#session.unsent < this.#unsent) {
      // Slowly, but it takes its answer.
      this.#awaitClient();
      return;
    }
    this.#clientDeadline = 0;
    if (this.#body.isDone) this.#session.destroy();
    else if (this.#request.isPaused())
      this.#clientDeadline = now + this.#engine.limits.bodyTimeoutMs;
    else this.onRequestBroken(408, "body_timeout", "the request body stalled");
  }

  /** The try is over, and its turn with it. */
  #leavePeer(isKept: boolean): void {
    const pool = this.#pool;
    if (pool === null || this.peer === null) return;
    this.#pool = null;
    this.peer.inFlight -= 1;
    this.#peerDeadline = 0;
    this.#body.close();
    this.#try?.finish(isKept);
    this.#try = null;
    pool.leave();
  }

  #dropPeer(): void {
    if (this.#phase === "waiting" && this.#pool !== null && this.peer !== null) {
      this.#pool.giveUp(this);
      this.#pool = null;
      this.peer.inFlight -= 1;
      return;
    }
    this.#try?.cancel();
    this.#tunnel?.close();
    this.#leavePeer(false);
  }

  #onHandlerThrew(error: unknown): void {
    this.#engine.onError(error);
    this.#dropPeer();
    if (this.#phase === "over" || this.#phase === "answering") return;
    this.errorCode = "handler_error";
    this.#giveError(500, "the gateway failed on this request");
  }

  #end(): void {
    if (this.#phase === "over") return;
    this.#phase = "over";
    this.serial = this.#engine.nextSerial();
    this.#clientDeadline = 0;
    this.#peerDeadline = 0;
    this.#body.drop();
    this.durationMs = this.#engine.now() - this.startedAtMs;
    this.#engine.removeExchange();
    try {
      this.#engine.handler.onEnd(this);
    } catch (error) {
      this.#engine.onError(error);
    }
    this.#session.onExchangeOver();
  }
}

/** `Trailer` belongs to a chunked body only; `node:http` refuses it elsewhere. */
function isTrailerOf(name: string, plan: RequestPlan): boolean {
  return !plan.isChunked && name.toLowerCase() === "trailer";
}

/** The end-to-end fields of an interim answer. */
function informationalHeaders(rawHeaders: readonly string[]): string[] {
  const headers = new HeaderList("response", rawHeaders);
  headers.removeNamedBy(headers.connection);
  return headers.forwarded().flat();
}

/** Whether every protocol that the origin switches to is one that the client named. */
function isOffered(offer: string, chosen: string): boolean {
  const offered = optionsOf(offer);
  return optionsOf(chosen).every((name) => name !== "" && offered.includes(name));
}
