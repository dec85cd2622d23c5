/**
 * One request from its head to its record, between the client's port and the peer's. The exchange alone decides what
 * comes next, and nothing else writes its phase. `Forwarding` (the way to a peer) and `Answering` (the way back) tell it
 * what happens to them. A downstream reuses its exchange for each of its requests.
 */
import type { Answer, PeerFailure } from "../engine.ts";
import { bodyTooLarge, errorAnswer } from "../message/answers.ts";
import { grpcFailure, grpcFailureTrailer, isGrpc } from "../message/grpc.ts";
import type { RequestHead } from "../message/request-head.ts";
import { RequestTarget } from "../message/request-target.ts";
import { ResponseHead } from "../message/response-head.ts";
import { answerTrailer, requestTrailer } from "../message/trailer.ts";
import type { BodyTap } from "../tap.ts";
import type { Target } from "../target.ts";
import { Answering, type AnsweringOwner } from "./answering.ts";
import type { Call } from "./call.ts";
import type { ExchangeCore } from "./core.ts";
import { Deadlines } from "./deadlines.ts";
import { notSwitched, outcomeOf } from "./failures.ts";
import { Forwarding, type ForwardingOwner } from "./forwarding.ts";
import { answerAsLastRecipient } from "./last-recipient.ts";
import type { CutReason, Downstream, DownstreamEvents } from "./ports.ts";
import type { RequestBody } from "./request-body.ts";
import { Tries } from "./tries.ts";
import { ExchangeView, type Moves } from "./view.ts";

/**
 * `handling`: in one of the handler's phases. `held`: the handler waits for something. `trying`: on its way to a peer.
 * `responding`: the handler looks at the peer's answer. `answering`: the answer's head is out. `tunnel`: upgraded.
 */
type Phase = "over" | "handling" | "held" | "trying" | "responding" | "answering" | "tunnel";

export class HttpExchange<C> implements DownstreamEvents, Moves, ForwardingOwner, AnsweringOwner {
  readonly #core: ExchangeCore<C>;
  readonly #downstream: Downstream;
  readonly #head: RequestHead;
  readonly #answerHead = new ResponseHead();
  readonly #target: RequestTarget;
  readonly #tries = new Tries();
  readonly #view: ExchangeView<C>;
  readonly #deadlines: Deadlines;
  readonly #forwarding: Forwarding<C>;
  readonly #call: Call;
  readonly #request: RequestBody;
  readonly #answering: Answering;
  #phase: Phase = "over";
  /** The body of the answer that replaces the origin's. */
  #replacement: string | Buffer | null = null;
  /** Where the request goes next, because the handler dropped the origin's answer. */
  #nextTarget: Target | null = null;

  constructor(core: ExchangeCore<C>, downstream: Downstream, head: RequestHead) {
    const answerHead = this.#answerHead;
    const target = new RequestTarget(core.forwardedPath);
    const tries = this.#tries;
    const view = new ExchangeView<C>(core, downstream, head, answerHead, target, tries, this);
    const deadlines = new Deadlines(core.clock, core.limits, downstream, view);
    this.#core = core;
    this.#downstream = downstream;
    this.#head = head;
    this.#target = target;
    this.#view = view;
    this.#deadlines = deadlines;
    this.#forwarding = new Forwarding<C>(
      core,
      downstream,
      head,
      answerHead,
      target,
      tries,
      view,
      deadlines,
      this,
    );
    this.#call = this.#forwarding.call;
    this.#request = this.#forwarding.body;
    this.#answering = new Answering(answerHead, downstream, deadlines, this);
  }

  // Called by the handler.

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
    const answer = this.#errorAnswer(status, code, message, headers);
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
    const { mayRepeat, leavesAnother } = this.#forwarding;
    if (this.#phase !== "responding" || !mayRepeat || !leavesAnother || this.#isLate) return false;
    this.#nextTarget = this.#core.handler.onPick(this.#view);
    if (this.#nextTarget === null) return false;
    // Phases that look at the answer later must not take it for the one that the client gets.
    this.#view.status = 0;
    this.#view.hasAnswer = false;
    return true;
  }

  tapRequest(tap: BodyTap): void {
    if (this.#phase !== "handling") throw new Error("the request is on its way already");
    if (this.#head.hasBody) this.#request.tap(tap);
  }

  tapAnswer(tap: BodyTap): void {
    if (this.#phase !== "responding") throw new Error("there is no answer that can be tapped");
    this.#answering.tap(tap);
  }

  get isAnswerTapped(): boolean {
    return this.#answering.isTapped;
  }

  // Called by the client's wire.

  begin(body: Buffer | null): void {
    const { counters } = this.#core;
    const head = this.#head;
    counters.requests += 1;
    counters.exchanges += 1;
    this.#view.begin(body === null ? 0 : body.length);
    this.#call.begin(head, this.#view.startedAtMs);
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
      // The client does not cause this delay, unless it holds up the peer because it does not take the answer.
      if (this.#answering.isClientFull) this.#deadlines.awaitTaking();
      else if (!this.#request.awaitsTap) this.#deadlines.client = 0;
    }
    return hasRoom;
  }

  onEnd(trailer: string): void {
    if (this.#phase === "over") return;
    if (this.#phase === "tunnel") {
      this.#forwarding.endTunnel();
      return;
    }
    if (this.#answering.isClientFull) this.#deadlines.awaitTaking();
    else this.#deadlines.client = 0;
    this.#request.end(requestTrailer(trailer, this.#head.connection, this.#view.trailers));
  }

  onBroken(status: number, code: string, message: string): void {
    if (this.#phase === "over") return;
    if (this.#phase === "answering" || this.#phase === "tunnel") {
      this.#cut("broken", code, null);
    } else {
      this.#forwarding.drop(null);
      this.#giveError(status, code, message);
    }
  }

  onGone(): void {
    if (this.#phase === "over") return;
    this.#view.errorCode = "client_closed";
    this.#forwarding.drop(null);
    this.#end();
  }

  onDrain(): void {
    if (this.#phase === "over") return;
    if (this.#phase === "tunnel") this.#deadlines.awaitTunnel();
    else if (this.#request.awaitsTap) this.#deadlines.awaitRequest();
    else if (this.#request.isRead || this.#request.isHeldBack) this.#deadlines.client = 0;
    this.#answering.onDrain();
  }

  onTick(now: number): void {
    const deadlines = this.#deadlines;
    if (this.#call.isLate(now)) {
      this.#onCallLate();
      return;
    }
    if (deadlines.client !== 0 && now >= deadlines.client) this.#onClientLate();
    if (deadlines.peer === 0 || now < deadlines.peer) return;
    if (this.#forwarding.isFlowing) this.#forwarding.onLate();
    else if (deadlines.hasAnswerFlowed) deadlines.awaitTap();
    else this.#cut("truncated", "tap_timeout", null);
  }

  // Called by the way to the peer.

  onTryFailed(failure: PeerFailure, isSafe: boolean): void {
    if (!this.#forwarding.endTry(failure)) {
      this.#giveHandlerError();
      return;
    }
    this.#phase = "handling";
    if (isSafe && this.#forwarding.leavesAnother) this.#pick(failure);
    else this.#failAfter(failure);
  }

  onPeerInterim(): void {
    if (!this.#downstream.sendInterim(this.#answerHead)) this.#forwarding.pause();
  }

  onPeerAnswer(body: string): void {
    if (!this.#show()) return;
    // The exchange goes on without the peer until the tap is done.
    if (this.#answering.isTapped) this.#forwarding.endTry(null);
    this.#answering.sendWhole(body);
  }

  onPeerHead(isFollowed: boolean): void {
    if (!this.#show()) return;
    this.#request.letGo();
    this.#answering.sendHead(isFollowed);
  }

  onPeerData(piece: Buffer): void {
    if (this.#phase === "tunnel") this.#deadlines.awaitTunnel();
    else if (this.#phase !== "answering") return;
    this.#answering.take(piece);
  }

  onPeerEnd(trailer: string): void {
    if (this.#phase !== "answering") return;
    if (this.#answering.isTapped) this.#forwarding.endTry(null);
    this.#answering.end(answerTrailer(trailer, this.#answerHead.connection));
  }

  onPeerUpgrade(first: Buffer): void {
    if (!this.#show()) return;
    this.#phase = "tunnel";
    this.#request.letGo();
    this.#answering.untap();
    this.#deadlines.awaitTunnel();
    this.#downstream.sendUpgrade(this.#answerHead);
    if (first.length > 0) this.#answering.take(first);
  }

  onTunnelHalfClosed(): void {
    this.#downstream.sendEnd("");
  }

  onTunnelClosed(isReset: boolean): void {
    if (isReset) this.#downstream.cut("reset");
    else this.#downstream.sendEnd("");
    this.#end();
  }

  onAnswerBroken(code: string, failure: PeerFailure): void {
    this.#cut("truncated", code, failure);
  }

  onRequestTapped(): void {
    // Only the tap was still to move.
    if (!this.#answering.isClientFull) this.#deadlines.client = 0;
  }

  // Called by the way back to the client.

  onSent(bytes: number): void {
    this.#view.bytesOut += bytes;
  }

  onAnswerFull(): void {
    this.#forwarding.pause();
  }

  onAnswerRoom(): void {
    this.#forwarding.resume();
  }

  onAnswered(): void {
    this.#end();
  }

  onTapFailed(status: number, code: string, message: string): void {
    if (this.#phase === "over") return;
    if (this.#phase === "answering") {
      this.#cut("truncated", code, null);
    } else {
      this.#forwarding.drop(null);
      this.#giveError(status, code, message);
    }
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
    // The handler may have changed the deadline.
    if (this.#call.isGrpc && !this.#call.readTimeout(this.#head)) {
      this.#giveError(400, "bad_grpc_timeout", "grpc-timeout is malformed");
      return;
    }
    const answer = answerAsLastRecipient(view);
    if (answer === null) this.#pick(null);
    else this.#give(answer);
  }

  /** Has the handler pick a peer, and tries it. `last`: how the try before failed. */
  #pick(last: PeerFailure | null): void {
    if (this.#isLate) {
      this.#onCallLate();
      return;
    }
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
    this.#phase = "trying";
    this.#forwarding.try(target);
  }

  /**
   * Shows the peer's answer to the handler. Returns false when the client does not get this answer; then the exchange has
   * already begun what happens instead.
   */
  #show(): boolean {
    const view = this.#view;
    const { serial } = view;
    this.#phase = "responding";
    view.status = this.#answerHead.status;
    if (this.#seemsSwitched(view.status)) {
      this.#forwarding.drop(null);
      const { status, code, message } = notSwitched(view.host);
      this.#giveError(status, code, message);
      return false;
    }
    view.hasAnswer = true;
    try {
      this.#core.handler.onResponse(view);
    } catch (error) {
      this.#onHandlerThrew(error, serial);
      return false;
    }
    this.#phase = "answering";
    if (this.#nextTarget === null && this.#replacement === null) return true;
    this.#divert();
    return false;
  }

  /** Does what the handler wants instead of passing on the peer's answer. */
  #divert(): void {
    const target = this.#nextTarget;
    const body = this.#replacement;
    this.#nextTarget = null;
    this.#replacement = null;
    this.#forwarding.drop(null);
    if (target === null) {
      if (body !== null) this.#answering.sendOwn(body);
      return;
    }
    this.#answering.untap();
    this.#view.errorCode = "";
    this.#try(target);
  }

  #failAfter(failure: PeerFailure | null): void {
    const { status, code, message } = outcomeOf(failure, this.#view.host);
    if (code === "queue_full") this.#core.counters.countRefused(code);
    this.#giveError(status, code, message);
  }

  #onHandlerThrew(error: unknown, serial: number): void {
    this.#core.onError(error);
    // The handler may have answered this exchange before it threw, and the client's next request may have begun.
    if (serial === this.#view.serial) this.#giveHandlerError();
  }

  #giveHandlerError(): void {
    this.#forwarding.drop(null);
    this.#giveError(500, "handler_error", "the gateway failed on this request");
  }

  /** Ends the exchange with an error, in whatever phase it is. Nothing of an answer may have been sent yet. */
  #giveError(status: number, code: string, message: string): void {
    this.#nextTarget = null;
    this.#replacement = null;
    this.#answering.untap();
    this.#view.errorCode = code;
    this.#give(this.#errorAnswer(status, code, message));
  }

  /** Makes the answer for an error, in a form that the client accepts. */
  #errorAnswer(
    status: number,
    code: string,
    message: string,
    headers?: Readonly<Record<string, string>>,
  ): Answer {
    const view = this.#view;
    const isCall = this.#head.upgrade === "" && isGrpc(view.header("content-type"));
    if (isCall) return grpcFailure(status, code, message, headers);
    return errorAnswer(status, code, message, view.header("accept"), headers);
  }

  #give(answer: Answer): void {
    const body = this.#fillIn(answer);
    this.#phase = "answering";
    this.#answering.sendOwn(body);
  }

  /** Returns the body. Throws a `TypeError` for a header that is not valid, before anything is changed. */
  #fillIn(answer: Answer): string | Buffer {
    let given = answer;
    if (this.#seemsSwitched(answer.status)) {
      const { status, code, message } = notSwitched(this.#view.host);
      this.#view.errorCode = code;
      given = this.#errorAnswer(status, code, message);
    }
    const body = this.#answering.fillIn(given, this.#head.method);
    this.#view.status = given.status;
    this.#view.hasAnswer = true;
    return body;
  }

  /** Whether the client would take an answer of this status for a switch of protocols, although it is none. */
  #seemsSwitched(status: number): boolean {
    return status >= 200 && status < 300 && this.#head.mustSwitch;
  }

  /** Cuts off an answer that has begun. */
  #cut(reason: CutReason, code: string, failure: PeerFailure | null): void {
    this.#view.errorCode = code;
    this.#forwarding.drop(failure);
    this.#downstream.cut(reason);
    this.#end();
  }

  /** Whether a call's deadline has passed. */
  get #isLate(): boolean {
    return this.#call.deadline !== 0 && this.#call.isLate(this.#core.clock.now());
  }

  /** Ends a call whose deadline has passed. That is nobody's fault, since the client alone chose the deadline. */
  #onCallLate(): void {
    const code = "deadline_exceeded";
    const message = "the call's deadline has passed";
    if (this.#phase !== "answering") {
      this.#forwarding.drop(null);
      this.#giveError(504, code, message);
    } else if (this.#answerHead.isStreamed && !this.#answering.isTapped) {
      this.#view.errorCode = code;
      this.#forwarding.drop(null);
      this.#answering.end(grpcFailureTrailer(504, code, message));
    } else {
      this.#cut("truncated", code, null);
    }
  }

  #onClientLate(): void {
    const deadlines = this.#deadlines;
    if (deadlines.isClientTaking) {
      deadlines.awaitTaking();
    } else if (this.#phase !== "tunnel" && this.#request.awaitsTap) {
      const message = "the gateway took too long to change the request's body";
      this.onTapFailed(500, "tap_timeout", message);
    } else if (this.#phase === "tunnel" || this.#request.isRead) {
      this.#cut("late", "client_closed", null);
    } else if (deadlines.hasAnswerFlowed) {
      deadlines.awaitRequest();
    } else {
      this.onBroken(408, "body_timeout", "the request body stalled");
    }
  }

  /** Ends the exchange; everything that had to be sent has been sent. */
  #end(): void {
    if (this.#phase === "over") return;
    this.#forwarding.endTry(null);
    this.#phase = "over";
    const view = this.#view;
    view.serial += 1;
    this.#request.reset();
    this.#answering.reset();
    this.#deadlines.clear();
    this.#call.end();
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
