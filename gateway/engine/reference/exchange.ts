/**
 * One request on its way through the reference engine: the same phases and ends as in `http1/`, on the
 * objects of `node:http`. The way to a peer is in `peer-request.ts`, the way back in `client-answer.ts`.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Answer, BodyTap, Exchange, Target } from "../engine.ts";
import { answerAsLastRecipient } from "../exchange/last-recipient.ts";
import { errorAnswer } from "../message/answers.ts";
import { RequestTarget } from "../message/request-target.ts";
import type { Peer } from "../peer.ts";
import { ClientAnswer } from "./client-answer.ts";
import type { ClientSession } from "./client-session.ts";
import { ExchangeDeadlines } from "./exchange-deadlines.ts";
import { PeerRequest } from "./peer-request.ts";
import type { ReferenceEngine } from "./reference.ts";
import { bodyTooLarge, type RequestPlan } from "./request-plan.ts";

/**
 * `handling`: in a phase of the handler's. `held`: the handler waits for something. `trying`: on its
 * way to a peer. `answering`: the answer's head is out. `tunnel`: upgraded.
 */
type Phase = "over" | "handling" | "held" | "trying" | "answering" | "tunnel";

export class ReferenceExchange<C> implements Exchange<C> {
  context: C | null = null;
  serial: number;
  readonly id: string;
  status = 0;
  errorCode = "";
  readonly startedAtMs: number;
  durationMs = 0;
  bytesIn = 0;
  bytesOut = 0;
  trailers: ReadonlySet<string> | null = null;
  phase: Phase = "handling";
  /** What had gone either way when a deadline was last looked at. */
  #seenIn = 0;
  #seenOut = 0;
  readonly #engine: ReferenceEngine<C>;
  readonly #session: ClientSession<C>;
  readonly #request: IncomingMessage;
  readonly #plan: RequestPlan;
  readonly #target: RequestTarget;
  readonly #deadlines: ExchangeDeadlines;
  readonly peerRequest: PeerRequest<C>;
  readonly clientAnswer: ClientAnswer<C>;

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
    this.#plan = plan;
    this.serial = engine.nextSerial();
    const given = plan.requestId;
    const isKept = session.proxy !== null && given !== "" && given.length <= 128;
    this.id = isKept ? given : engine.nextId();
    this.startedAtMs = engine.now();
    const target = new RequestTarget(engine.forwardedPath);
    this.#target = target;
    target.begin(plan.target, plan.authority);
    const deadlines = new ExchangeDeadlines(engine, session);
    this.#deadlines = deadlines;
    this.peerRequest = new PeerRequest(
      engine,
      session,
      this,
      request,
      response,
      plan,
      target,
      deadlines,
    );
    this.clientAnswer = new ClientAnswer(engine, session, this, request, response, plan, deadlines);
    response.on("drain", () => this.peerRequest.onClientDrain());
  }

  // What the handler sees.

  get method(): string {
    return this.#request.method ?? "";
  }

  get scheme(): "http" | "https" {
    return this.#plan.story?.scheme ?? "http";
  }

  get clientAddress(): string {
    return this.#plan.story?.address ?? this.#session.address;
  }

  get proxyAddress(): string {
    return this.#session.proxy?.address ?? "";
  }

  get listener(): number {
    return this.#session.listener;
  }

  get authority(): string {
    return this.#target.authority;
  }

  set authority(value: string) {
    this.#target.authority = value;
  }

  get host(): string {
    return this.#target.host;
  }

  get path(): string {
    return this.#target.path;
  }

  set path(value: string) {
    this.#target.path = value;
  }

  get rawPath(): string {
    return this.#target.rawPath;
  }

  get hasEncodedSlash(): boolean {
    return this.#target.hasEncodedSlash;
  }

  get query(): string {
    return this.#target.query;
  }

  set query(value: string) {
    this.#target.query = value;
  }

  get hasBody(): boolean {
    return this.#plan.isChunked || this.#plan.contentLength > 0;
  }

  get rawHeaders(): string {
    return this.#plan.headers.raw;
  }

  get headerLines(): string {
    return this.#plan.headers.lines;
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

  get target(): Target | null {
    return this.peerRequest.target;
  }

  get peer(): Peer | null {
    return this.peerRequest.target?.peer ?? null;
  }

  get tries(): number {
    return this.peerRequest.tries;
  }

  tried(peer: Peer): boolean {
    return this.peerRequest.tried(peer);
  }

  get responseHeaderLines(): string {
    return this.clientAnswer.plan?.headers.lines ?? "";
  }

  responseHeader(name: string): string | undefined {
    return this.clientAnswer.plan?.headers.get(name);
  }

  setResponseHeader(name: string, value: string): void {
    this.clientAnswer.plan?.headers.set(name, value);
  }

  addResponseHeader(name: string, value: string): void {
    this.clientAnswer.plan?.headers.add(name, value);
  }

  removeResponseHeader(name: string): void {
    this.clientAnswer.plan?.headers.remove(name);
  }

  answer(answer: Answer): void {
    if (this.phase !== "handling" && this.phase !== "held") {
      throw new Error("the exchange has been answered or is on its way to a peer");
    }
    this.#give(answer);
  }

  fail(
    status: number,
    code: string,
    message: string,
    headers?: Readonly<Record<string, string>>,
  ): void {
    this.errorCode = code;
    this.answer(errorAnswer(status, code, message, this.header("accept"), headers));
  }

  replaceAnswer(_answer: Answer): void {
    throw new Error("the reference engine passes on the origin's answer as it is");
  }

  tryAgain(): boolean {
    return false;
  }

  tapRequest(_tap: BodyTap): void {
    throw new Error("the reference engine has no taps");
  }

  tapAnswer(_tap: BodyTap): void {
    throw new Error("the reference engine has no taps");
  }

  hold(): void {
    if (this.phase === "handling") this.phase = "held";
  }

  resume(): void {
    if (this.phase !== "held") return;
    this.phase = "handling";
    this.run();
  }

  // What the session tells.

  run(): void {
    try {
      this.#engine.handler.onRequest(this);
    } catch (error) {
      this.onHandlerThrew(error);
      return;
    }
    if (this.phase !== "handling") return;
    const answer = answerAsLastRecipient(this);
    if (answer === null) this.peerRequest.try(null);
    else this.#give(answer);
  }

  /** Whether the parser has not seen the end of the request: what it has seen may not have come here yet. */
  get isReadingBody(): boolean {
    return !this.#request.complete;
  }

  get isTunnel(): boolean {
    return this.phase === "tunnel";
  }

  onClientGone(): void {
    if (this.phase === "over") return;
    this.errorCode = "client_closed";
    this.drop();
    this.end();
  }

  /** The client's request body is malformed, too large or too late. */
  onRequestBroken(status: number, code: string, message: string): void {
    if (this.phase === "over") return;
    this.drop();
    if (this.status === 0) {
      this.giveError(status, code, message);
      return;
    }
    this.errorCode = code;
    this.#session.destroy();
    this.end();
  }

  onSweep(now: number): void {
    // A reset shows in a write, even one of no bytes; a client that is not read shows it in no other way.
    if (this.#request.isPaused()) this.#session.probe();
    if (this.#deadlines.isPeerLate(now)) this.#onPeerLate();
    if (this.#deadlines.isClientLate(now)) this.#onClientLate();
  }

  // What the way to the peer tells.

  /** Body bytes of the client's. */
  onRequestData(count: number): void {
    this.bytesIn += count;
    if (this.phase === "over") return;
    this.#deadlines.awaitBody();
    const { maxBodyBytes } = this.#engine.limits;
    if (maxBodyBytes > 0 && this.bytesIn > maxBodyBytes) {
      const { status, code, message } = bodyTooLarge(maxBodyBytes);
      this.#engine.countRefused(code);
      this.onRequestBroken(status, code, message);
    }
  }

  /** Ends the exchange with 500, unless an answer has begun. */
  onHandlerThrew(error: unknown): void {
    this.#engine.onError(error);
    this.drop();
    if (this.phase === "over" || this.phase === "answering") return;
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

  #onPeerLate(): void {
    if (this.phase === "trying") {
      this.peerRequest.onLate();
    } else if (this.phase === "answering" && this.bytesIn > this.#seenIn) {
      // It takes the request: an answer may wait for what the peer reads of it.
      this.#seenIn = this.bytesIn;
      this.#deadlines.awaitPeer(this.#engine.limits.bodyTimeoutMs);
    } else {
      this.clientAnswer.onLate();
    }
  }

  #onClientLate(): void {
    if (this.peerRequest.isRead) this.#session.destroy();
    else if (this.#request.isPaused()) this.#deadlines.awaitBody();
    else if (this.bytesOut > this.#seenOut) {
      // Its answer flows: an upload may wait for what the client reads of it.
      this.#seenOut = this.bytesOut;
      this.#deadlines.awaitBody();
    } else this.onRequestBroken(408, "body_timeout", "the request body stalled");
  }

  /** Neither way is wanted any more. */
  drop(): void {
    this.peerRequest.drop();
    this.clientAnswer.drop();
  }

  /** Whatever was to be written is. */
  end(): void {
    if (this.phase === "over") return;
    this.phase = "over";
    this.serial = this.#engine.nextSerial();
    this.#deadlines.clearClient();
    this.#deadlines.clearPeer();
    this.peerRequest.end();
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
