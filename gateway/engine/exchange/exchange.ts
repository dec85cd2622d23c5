/**
 * One request from its head to its record, between two ports. The exchange alone decides what comes next: phases,
 * tries, deadlines, what a failure becomes. It is used again for each request of its downstream.
 */
import type { Answer, FailureCode, PeerFailure } from "../engine.ts";
import { bodyTooLarge, contentOf, errorAnswer } from "../message/answers.ts";
import type { RequestHead } from "../message/request-head.ts";
import { RequestTarget } from "../message/request-target.ts";
import { ResponseHead } from "../message/response-head.ts";
import { answerTrailer, requestTrailer } from "../message/trailer.ts";
import type { BodyTap } from "../tap.ts";
import type { Target } from "../target.ts";
import { AnswerBody, type AnswerBodyOwner } from "./answer-body.ts";
import type { ExchangeCore } from "./core.ts";
import { Deadlines } from "./deadlines.ts";
import { idempotent, isSilence, outcomeOf, wasNeverSent } from "./failures.ts";
import { answerAsLastRecipient } from "./last-recipient.ts";
import type {
  CutReason,
  Downstream,
  DownstreamEvents,
  UpstreamRequest,
  UpstreamStream,
} from "./ports.ts";
import { RequestBody, type RequestBodyOwner } from "./request-body.ts";
import { Tries } from "./tries.ts";
import { ExchangeView, type Moves } from "./view.ts";

/** A body of the gateway's own up to this size leaves with its head, in one write. */
const smallBodyBytes = 8_192;

/**
 * `handling`: in a phase of the handler's. `held`: the handler waits for something. `trying`: on its way to a peer.
 * `responding`: the handler looks at the peer's answer. `answering`: the answer's head is out. `tunnel`: upgraded.
 */
type Phase = "over" | "handling" | "held" | "trying" | "responding" | "answering" | "tunnel";

export class HttpExchange<C>
  implements DownstreamEvents, UpstreamRequest, Moves, RequestBodyOwner, AnswerBodyOwner
{
  readonly head: RequestHead;
  readonly answerHead = new ResponseHead();
  readonly #core: ExchangeCore<C>;
  readonly #downstream: Downstream;
  readonly #target: RequestTarget;
  readonly #tries = new Tries();
  readonly #view: ExchangeView<C>;
  readonly #deadlines: Deadlines;
  readonly #request: RequestBody;
  readonly #answer: AnswerBody;
  #phase: Phase = "over";
  /** Of the current try; `null` while there is none, or not any more. */
  #stream: UpstreamStream | null = null;
  /** Whether it waits for a stream. */
  #isWaiting = false;
  /** Whether the peer's wire was told that there is no room for more of the answer. */
  #isPaused = false;
  /** Whether a try has begun whose end was not told. */
  #isTrying = false;
  /** Status of the current try's answer; 0: none came. */
  #peerStatus = 0;
  /** The body of the answer that takes the origin's place. */
  #replacement: string | Buffer | null = null;
  /** Where the request goes instead of taking the origin's answer. */
  #nextTarget: Target | null = null;

  constructor(core: ExchangeCore<C>, downstream: Downstream, head: RequestHead) {
    this.#core = core;
    this.#downstream = downstream;
    this.head = head;
    this.#target = new RequestTarget(core.forwardedPath);
    this.#view = new ExchangeView(
      core,
      downstream,
      head,
      this.answerHead,
      this.#target,
      this.#tries,
      this,
    );
    this.#deadlines = new Deadlines(core.clock, core.limits, downstream, this.#view);
    this.#request = new RequestBody(downstream, this.#deadlines, this);
    this.#answer = new AnswerBody(downstream, this.#deadlines, this);
  }

  // What the handler can have it do.

  answer(answer: Answer): void {
    if (this.#phase !== "handling" && this.#phase !== "held") {
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
    const answer = errorAnswer(status, code, message, this.#view.header("accept"), headers);
    this.#view.errorCode = code;
    if (this.#phase === "responding") this.replaceAnswer(answer);
    else this.answer(answer);
  }

  hold(): void {
    if (this.#phase === "handling") this.#phase = "held";
  }

  resume(): void {
    if (this.#phase !== "held") return;
    this.#phase = "handling";
    this.#run();
  }

  replaceAnswer(answer: Answer): void {
    if (this.#phase !== "responding") throw new Error("there is no answer that can be replaced");
    this.#replacement = this.#fillIn(answer);
  }

  tryAgain(): boolean {
    if (this.#phase !== "responding" || !this.#mayRepeat()) return false;
    const { limits, clock, handler } = this.#core;
    if (!this.#tries.leavesAnother(limits, clock.current)) return false;
    this.#nextTarget = handler.onPick(this.#view);
    if (this.#nextTarget === null) return false;
    // Whoever else looks at the answer is not to take it for the one that the client gets.
    this.#view.status = 0;
    this.#view.hasAnswer = false;
    return true;
  }

  tapRequest(tap: BodyTap): void {
    if (this.#phase !== "handling") throw new Error("the request is on its way already");
    if (this.head.hasBody) this.#request.tap(tap);
  }

  tapAnswer(tap: BodyTap): void {
    if (this.#phase !== "responding") throw new Error("there is no answer that can be tapped");
    this.#answer.tap(tap);
  }

  // What the wire to the peer sees of the request.

  get targetText(): string {
    return this.#target.text;
  }

  get authority(): string {
    return this.#target.authority;
  }

  get id(): string {
    return this.#view.id;
  }

  get trailers(): ReadonlySet<string> | null {
    return this.#view.trailers;
  }

  get address(): string {
    return this.#downstream.address;
  }

  get scheme(): "http" | "https" {
    return this.#downstream.scheme;
  }

  get forwardedLine(): string {
    return this.#downstream.forwardedLine;
  }

  get bodyLength(): number {
    return this.#request.isTapped ? -1 : this.head.contentLength;
  }

  get isStreamed(): boolean {
    return this.#request.isTapped || this.head.isStreamed;
  }

  // What the client's wire tells.

  begin(body: Buffer | null): void {
    const { head } = this;
    const { counters } = this.#core;
    counters.requests += 1;
    counters.exchanges += 1;
    this.#view.begin(body === null ? 0 : body.length);
    this.#target.begin(head.target, head.authority);
    this.#tries.reset();
    this.#request.begin(head.hasBody, body);
    if (!this.#request.isRead) this.#deadlines.awaitRequest();
    this.#phase = "handling";
    this.#run();
  }

  onData(buffer: Buffer, from: number, to: number): boolean {
    if (this.#phase === "over") return true;
    this.#view.bytesIn += to - from;
    const piece = from === 0 && to === buffer.length ? buffer : buffer.subarray(from, to);
    if (this.#phase === "tunnel") {
      this.#deadlines.awaitTunnel();
      return this.#request.take(piece);
    }
    const { maxBodyBytes } = this.#core.limits;
    if (maxBodyBytes > 0 && this.#view.bytesIn > maxBodyBytes) {
      const { status, code, message } = bodyTooLarge(maxBodyBytes);
      this.#core.counters.countRefused(code);
      this.onBroken(status, code, message);
      return true;
    }
    this.#deadlines.awaitRequest();
    const hasRoom = this.#request.take(piece);
    if (!hasRoom) {
      // Not the client's delay, unless it holds up the peer by not taking the answer.
      if (this.#answer.isClientFull) this.#deadlines.awaitTaking();
      else this.#deadlines.client = 0;
    }
    return hasRoom;
  }

  onEnd(trailer: string): void {
    if (this.#phase === "over") return;
    if (this.#phase === "tunnel") {
      this.#stream?.sendEnd("");
      return;
    }
    if (this.#answer.isClientFull) this.#deadlines.awaitTaking();
    else this.#deadlines.client = 0;
    const { head } = this;
    this.#request.end(requestTrailer(trailer, head.connection, this.#view.trailers));
  }

  onBroken(status: number, code: string, message: string): void {
    if (this.#phase === "over") return;
    if (this.#phase === "answering" || this.#phase === "tunnel") {
      this.#cut("broken", code, null);
      return;
    }
    this.#drop(null);
    this.#giveError(status, code, message);
  }

  onGone(): void {
    if (this.#phase === "over") return;
    this.#view.errorCode = "client_closed";
    this.#drop(null);
    this.#end();
  }

  onDrain(): void {
    if (this.#phase === "over") return;
    if (this.#phase === "tunnel") this.#deadlines.awaitTunnel();
    else if (this.#request.isRead || this.#request.isHeldBack) this.#deadlines.client = 0;
    this.#answer.onDrain();
  }

  onTick(now: number): void {
    const deadlines = this.#deadlines;
    if (deadlines.client !== 0 && now >= deadlines.client) this.#onClientLate();
    if (deadlines.peer !== 0 && now >= deadlines.peer) this.#onPeerLate();
  }

  // What the wire to the peer tells.

  onStream(stream: UpstreamStream): void {
    this.#isWaiting = false;
    this.#stream = stream;
    this.#tries.sent += 1;
    this.#request.open(stream);
  }

  onNoStream(failure: PeerFailure): void {
    this.#isWaiting = false;
    if (failure.code === "queue_timeout") this.#core.counters.countRefused(failure.code);
    this.#onTryFailed(failure, wasNeverSent(failure));
  }

  onInterim(): void {
    if (!this.#downstream.sendInterim(this.answerHead)) this.pausePeer();
  }

  onAnswer(body: string): void {
    this.#closeStream();
    if (!this.#show()) return;
    if (this.#answer.isTapped) {
      this.#beginAnswer();
      if (body !== "" && this.#phase === "answering")
        this.#answer.take(Buffer.from(body, "latin1"));
      if (this.#phase === "answering") this.#answer.end("");
      return;
    }
    this.#view.bytesOut += body.length;
    this.#downstream.sendWhole(this.answerHead, body);
    this.#end();
  }

  onHead(): void {
    this.#deadlines.peer = 0;
    if (!this.#show()) return;
    this.#request.letGo();
    this.#beginAnswer();
    if (this.#stream !== null && !this.#isPaused) this.#awaitAnswerBody();
  }

  onAnswerData(buffer: Buffer, from: number, to: number): void {
    if (to === from) return;
    if (this.#phase === "tunnel") this.#deadlines.awaitTunnel();
    else if (this.#phase === "answering") this.#awaitAnswerBody();
    else return;
    this.#answer.take(from === 0 && to === buffer.length ? buffer : buffer.subarray(from, to));
  }

  onAnswerEnd(trailer: string): void {
    if (this.#phase === "tunnel") {
      this.#downstream.sendEnd("");
      return;
    }
    this.#closeStream();
    if (this.#phase !== "answering") return;
    if (this.#answer.isTapped) this.#endTry(null);
    this.#answer.end(answerTrailer(trailer, this.answerHead.connection));
  }

  onUpgrade(first: Buffer): void {
    this.#deadlines.clear();
    if (!this.#show()) return;
    this.#phase = "tunnel";
    this.#request.letGo();
    this.#answer.untap();
    this.#deadlines.awaitTunnel();
    this.#downstream.sendUpgrade(this.answerHead);
    if (first.length > 0) this.onAnswerData(first, 0, first.length);
  }

  onPeerDrain(): void {
    if (this.#phase === "trying") {
      this.#deadlines.peer = 0;
      if (this.#request.isWhole) this.onRequestSent();
    }
    this.#request.onRoom();
  }

  onFailed(failure: PeerFailure): void {
    const stream = this.#stream;
    this.#closeStream();
    if (this.#phase === "answering") {
      const code = failure.code === "bad_response" ? "bad_response_body" : "truncated";
      this.#cut("truncated", code, failure);
    } else if (this.#phase === "tunnel") {
      this.#downstream.sendEnd("");
      this.#end();
    } else if (stream !== null) {
      const mayRepeat = isSilence(failure) && !stream.hasAnswered && this.#mayRepeat();
      const isIdempotent = idempotent.has(this.head.method);
      if (mayRepeat && isIdempotent && failure.code === "reset" && stream.isReused) {
        // The peer closed a kept connection just as the request went out: no fault of either side.
        this.#tries.sent -= 1;
        this.#connect(true);
      } else {
        this.#onTryFailed(failure, mayRepeat);
      }
    }
  }

  // What the bodies tell.

  onPeerFull(): void {
    if (this.#phase === "trying") this.#deadlines.awaitRoom(this.#tries.target);
  }

  onRequestSent(): void {
    if (this.#phase === "trying") this.#deadlines.awaitAnswer(this.#tries.target);
    // The tap, which was the last that had to move, has.
    if (this.#request.isTapped && !this.#answer.isClientFull) this.#deadlines.client = 0;
  }

  onSent(bytes: number): void {
    this.#view.bytesOut += bytes;
  }

  pausePeer(): void {
    if (this.#stream === null) return;
    // The client is slower than the peer: not the peer's delay.
    if (this.#phase === "answering") this.#deadlines.peer = 0;
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#stream.pause();
  }

  resumePeer(): void {
    if (this.#stream === null || !this.#isPaused) return;
    this.#isPaused = false;
    if (this.#phase === "answering") this.#awaitAnswerBody();
    this.#stream.resume();
  }

  onAnswerSent(): void {
    this.#end();
  }

  onTapFailed(status: number, code: string, message: string): void {
    if (this.#phase === "over") return;
    if (this.#phase === "answering") {
      this.#cut("truncated", code, null);
      return;
    }
    this.#drop(null);
    this.#giveError(status, code, message);
  }

  onTapThrew(error: unknown): void {
    this.#core.onError(error);
    this.onTapFailed(500, "handler_error", "the gateway failed on this request");
  }

  // The phases.

  #run(): void {
    const view = this.#view;
    const { serial } = view;
    try {
      this.#core.handler.onRequest(view);
    } catch (error) {
      this.#onHandlerThrew(error, serial);
      return;
    }
    if (this.#phase !== "handling") return;
    const answer = answerAsLastRecipient(view);
    if (answer === null) this.#pick(null);
    else this.#give(answer);
  }

  /** Has the handler pick a peer, and tries it. `last`: what became of the try before. */
  #pick(last: PeerFailure | null): void {
    const { serial } = this.#view;
    let target: Target | null;
    try {
      target = this.#core.handler.onPick(this.#view);
    } catch (error) {
      this.#onHandlerThrew(error, serial);
      return;
    }
    if (this.#phase !== "handling") return;
    if (target === null) this.#failAfter(last);
    else this.#try(target);
  }

  #try(target: Target): void {
    const { clock } = this.#core;
    const isFirst = this.#tries.count === 0;
    this.#phase = "trying";
    this.#tries.begin(target, isFirst ? this.#view.startedAtMs : clock.now(), clock.current);
    target.peer.inFlight += 1;
    this.#isTrying = true;
    this.#peerStatus = 0;
    this.#connect(false);
  }

  #connect(wantsNew: boolean): void {
    const { target } = this.#tries;
    if (target === null) return;
    this.#isWaiting = true;
    if (this.#core.connector.open(this, target, wantsNew)) return;
    this.#isWaiting = false;
    const message = `too many requests wait for ${target.peer.key}`;
    this.#onTryFailed({ code: "queue_full", message }, true);
  }

  /**
   * Shows the peer's answer to the handler. False: the client does not get it, and what happens instead has been
   * begun.
   */
  #show(): boolean {
    const view = this.#view;
    const { serial } = view;
    const { status } = this.answerHead;
    this.#phase = "responding";
    this.#peerStatus = status;
    view.status = status;
    view.hasAnswer = true;
    try {
      this.#core.handler.onResponse(view);
    } catch (error) {
      this.#onHandlerThrew(error, serial);
      return false;
    }
    if (this.#nextTarget === null && this.#replacement === null) {
      this.#phase = "answering";
      this.#untapNothing();
      return true;
    }
    this.#divert();
    return false;
  }

  /** The handler wants something else than the peer's answer. */
  #divert(): void {
    const target = this.#nextTarget;
    const body = this.#replacement;
    this.#nextTarget = null;
    this.#replacement = null;
    this.#drop(null);
    if (target === null) {
      if (body !== null) this.#sendOwn(body);
      return;
    }
    this.#answer.untap();
    this.#view.errorCode = "";
    this.#try(target);
  }

  #beginAnswer(): void {
    this.#phase = "answering";
    if (!this.#answer.isTapped) {
      this.#downstream.sendHead(this.answerHead);
      return;
    }
    this.answerHead.forgetLength();
    this.#downstream.sendHead(this.answerHead);
    this.#answer.begin();
  }

  /** What has no body is not tapped; the length that it would have is not known any more. */
  #untapNothing(): void {
    if (!this.#answer.isTapped || this.answerHead.framing !== "none") return;
    this.#answer.untap();
    if (this.answerHead.contentLength > 0) this.answerHead.forgetLength();
  }

  #failAfter(failure: PeerFailure | null): void {
    const { status, code, message } = outcomeOf(failure, this.#view.host);
    if (code === "queue_full") this.#core.counters.countRefused(code);
    this.#giveError(status, code, message);
  }

  /** `isSafe`: the request may be sent to another peer. */
  #onTryFailed(failure: PeerFailure, isSafe: boolean): void {
    const { serial } = this.#view;
    if (!this.#endTry(failure)) {
      if (serial === this.#view.serial) this.#giveHandlerError();
      return;
    }
    this.#phase = "handling";
    const { limits, clock } = this.#core;
    if (isSafe && this.#tries.leavesAnother(limits, clock.current)) this.#pick(failure);
    else this.#failAfter(failure);
  }

  /** Whether what was sent may be sent again, as far as the request goes. */
  #mayRepeat(): boolean {
    return (
      this.#request.isKept &&
      (idempotent.has(this.head.method) || this.#tries.target?.retries.nonIdempotent === true)
    );
  }

  /** Tells the handler that the current try is over, if there is one. False: it threw. */
  #endTry(failure: PeerFailure | null): boolean {
    const { target, beganMs } = this.#tries;
    if (!this.#isTrying || target === null) return true;
    this.#isTrying = false;
    target.peer.inFlight -= 1;
    const { handler, clock, onError } = this.#core;
    try {
      handler.onTryEnd(this.#view, target, this.#peerStatus, failure, clock.now() - beganMs);
      return true;
    } catch (error) {
      onError(error);
      return false;
    }
  }

  /** The stream is over, or not wanted any more. */
  #closeStream(): void {
    this.#stream = null;
    this.#isPaused = false;
    this.#deadlines.peer = 0;
    this.#request.close();
  }

  /** No answer of the peer's is wanted any more. */
  #drop(failure: PeerFailure | null): void {
    const { target } = this.#tries;
    if (this.#isWaiting && target !== null) {
      this.#isWaiting = false;
      this.#core.connector.leave(this, target);
    }
    const stream = this.#stream;
    this.#closeStream();
    stream?.abort();
    this.#endTry(failure);
  }

  #onHandlerThrew(error: unknown, serial: number): void {
    this.#core.onError(error);
    // It may have answered the exchange, and the client's next request may have begun.
    if (serial === this.#view.serial) this.#giveHandlerError();
  }

  #giveHandlerError(): void {
    this.#drop(null);
    this.#giveError(500, "handler_error", "the gateway failed on this request");
  }

  /** Ends the exchange with an error, in whatever phase it is; nothing of an answer may be out. */
  #giveError(status: number, code: string, message: string): void {
    this.#nextTarget = null;
    this.#replacement = null;
    this.#answer.untap();
    this.#view.errorCode = code;
    this.#give(errorAnswer(status, code, message, this.#view.header("accept")));
  }

  #give(answer: Answer): void {
    this.#sendOwn(this.#fillIn(answer));
  }

  /** Returns the body. Throws a `TypeError` for a header that is not valid, before anything is changed. */
  #fillIn(answer: Answer): string | Buffer {
    const body = contentOf(answer);
    const length = typeof body === "string" ? Buffer.byteLength(body) : body.length;
    this.answerHead.own(answer, length, this.head.method);
    this.#view.status = answer.status;
    this.#view.hasAnswer = true;
    return body;
  }

  /** Ends the exchange with the answer whose head is filled in. */
  #sendOwn(body: string | Buffer): void {
    const head = this.answerHead;
    const content = typeof body === "string" ? Buffer.from(body) : body;
    const isSent = head.framing === "length";
    this.#untapNothing();
    if (this.#answer.isTapped || (isSent && content.length > smallBodyBytes)) {
      this.#beginAnswer();
      if (this.#phase === "answering") this.#answer.take(content);
      if (this.#phase === "answering") this.#answer.end("");
      return;
    }
    const text = isSent ? content.toString("latin1") : "";
    this.#view.bytesOut += text.length;
    this.#downstream.sendWhole(head, text);
    this.#end();
  }

  /** The answer that has begun ends before its end. */
  #cut(reason: CutReason, code: string, failure: PeerFailure | null): void {
    this.#view.errorCode = code;
    this.#drop(failure);
    this.#downstream.cut(reason);
    this.#end();
  }

  #awaitAnswerBody(): void {
    this.#deadlines.awaitAnswerBody(this.#tries.target);
  }

  #onClientLate(): void {
    const deadlines = this.#deadlines;
    if (deadlines.isClientTaking) deadlines.awaitTaking();
    else if (this.#phase === "tunnel") this.#cut("late", "client_closed", null);
    else if (!this.#request.isRead) {
      if (deadlines.hasAnswerFlowed) deadlines.awaitRequest();
      else this.onBroken(408, "body_timeout", "the request body stalled");
    } else if (!this.#request.isWhole) {
      this.onTapFailed(
        500,
        "tap_timeout",
        "the gateway took too long to change the request's body",
      );
    } else this.#cut("late", "client_closed", null);
  }

  #onPeerLate(): void {
    const deadlines = this.#deadlines;
    const { target } = this.#tries;
    if (this.#phase === "trying") {
      this.#failTry("response_timeout", `no answer from ${target?.peer.key} in time`);
    } else if (this.#stream === null) {
      if (deadlines.hasAnswerFlowed) deadlines.awaitTap();
      else this.#cut("truncated", "tap_timeout", null);
    } else if (deadlines.hasRequestFlowed) {
      this.#awaitAnswerBody();
    } else {
      const message = `${target?.peer.key} stalled in its answer`;
      this.#cut("truncated", "body_timeout", { code: "response_timeout", message });
    }
  }

  #failTry(code: FailureCode, message: string): void {
    const stream = this.#stream;
    // `onFailed` looks at it; it tells nothing any more.
    stream?.abort();
    this.onFailed({ code, message });
  }

  /** Whatever was to be sent is. */
  #end(): void {
    if (this.#phase === "over") return;
    this.#endTry(null);
    this.#phase = "over";
    const view = this.#view;
    view.serial += 1;
    this.#request.reset();
    this.#answer.reset();
    this.#deadlines.clear();
    this.#core.counters.exchanges -= 1;
    view.durationMs = this.#core.clock.now() - view.startedAtMs;
    try {
      this.#core.handler.onEnd(view);
    } catch (error) {
      this.#core.onError(error);
    }
    this.#downstream.release();
  }
}
