/**
 * A request on its way to a peer: its tries, the current try's stream or the wait for one, and the time that the peer
 * may take. It tells the exchange what comes back and how a try failed; the exchange decides what to do about it.
 */
import type { PeerFailure } from "../engine.ts";
import type { RequestHead } from "../message/request-head.ts";
import type { RequestTarget } from "../message/request-target.ts";
import type { ResponseHead } from "../message/response-head.ts";
import type { Target } from "../target.ts";
import { Call } from "./call.ts";
import type { ExchangeCore } from "./core.ts";
import type { Deadlines } from "./deadlines.ts";
import { idempotent, isSilence, wasNeverSent } from "./failures.ts";
import type { Downstream, UpstreamRequest, UpstreamStream } from "./ports.ts";
import { RequestBody } from "./request-body.ts";
import type { Tries } from "./tries.ts";
import type { ExchangeView } from "./view.ts";

/** The exchange, as its way to a peer sees it. */
export interface ForwardingOwner {
  /** The current try failed before its answer began. `isSafe`: the request may be sent to another peer. */
  onTryFailed(failure: PeerFailure, isSafe: boolean): void;
  onPeerInterim(): void;
  /** The whole answer is there; its body is latin1 text. The stream is over. */
  onPeerAnswer(body: string): void;
  /** The answer's head is there. `isFollowed`: a piece of the body follows right after this call. */
  onPeerHead(isFollowed: boolean): void;
  onPeerData(piece: Buffer): void;
  /** The answer is complete, and the stream is over. */
  onPeerEnd(trailer: string): void;
  onPeerUpgrade(first: Buffer): void;
  /** The peer sends nothing more on an upgraded connection. */
  onTunnelHalfClosed(): void;
  /** `isReset`: before the peer had ended its side. */
  onTunnelClosed(isReset: boolean): void;
  /** The rest of the answer will not come. The stream is over, or has to be dropped. */
  onAnswerBroken(code: string, failure: PeerFailure): void;
  onRequestTapped(): void;
  onTapFailed(status: number, code: string, message: string): void;
  onTapThrew(error: unknown): void;
}

export class Forwarding<C> implements UpstreamRequest {
  readonly head: RequestHead;
  readonly answerHead: ResponseHead;
  readonly body: RequestBody;
  readonly call = new Call();
  readonly #core: ExchangeCore<C>;
  readonly #downstream: Downstream;
  readonly #target: RequestTarget;
  readonly #tries: Tries;
  readonly #view: ExchangeView<C>;
  readonly #deadlines: Deadlines;
  readonly #owner: ForwardingOwner;
  /** The current try's stream; `null` before there is one and after it is over. */
  #stream: UpstreamStream | null = null;
  /**
   * What the stream carries: only the request so far, the answer too, or another protocol, perhaps from the client alone.
   */
  #carries: "request" | "answer" | "tunnel" | "half-tunnel" = "request";
  /** Whether the request waits for a stream. */
  #isWaiting = false;
  /** Whether the peer was told that there is no room for more of the answer. */
  #isPaused = false;
  /** Whether a try has begun and its end has not been reported yet. */
  #isTrying = false;
  /** Status by which the current try's answer is judged; 0 when none came. */
  #status = 0;

  constructor(
    core: ExchangeCore<C>,
    downstream: Downstream,
    head: RequestHead,
    answerHead: ResponseHead,
    target: RequestTarget,
    tries: Tries,
    view: ExchangeView<C>,
    deadlines: Deadlines,
    owner: ForwardingOwner,
  ) {
    this.#core = core;
    this.#downstream = downstream;
    this.head = head;
    this.answerHead = answerHead;
    this.#target = target;
    this.#tries = tries;
    this.#view = view;
    this.#deadlines = deadlines;
    this.#owner = owner;
    this.body = new RequestBody(downstream, deadlines, this);
  }

  // Called by the exchange.

  try(target: Target): void {
    const { clock } = this.#core;
    const isFirst = this.#tries.count === 0;
    this.#tries.begin(target, isFirst ? this.#view.startedAtMs : clock.now(), clock.current);
    target.peer.inFlight += 1;
    this.#isTrying = true;
    this.#status = 0;
    this.#connect(target, false);
  }

  /** Whether the engine's limits and the current target's allow another try. */
  get leavesAnother(): boolean {
    const { limits, clock } = this.#core;
    return this.#tries.leavesAnother(limits, clock.current);
  }

  /** Whether the request is still available in full, and its method or upstream allows sending it again. */
  get mayRepeat(): boolean {
    return this.body.isKept && (this.#isIdempotent || this.#retriesUnsafe);
  }

  /** The client has no room for more of the answer. */
  pause(): void {
    if (this.#stream === null) return;
    // The client causes this delay, not the peer.
    if (this.#carries === "answer") this.#deadlines.peer = 0;
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#stream.pause();
  }

  resume(): void {
    if (this.#stream === null || !this.#isPaused) return;
    this.#isPaused = false;
    if (this.#carries === "answer") this.#deadlines.awaitAnswerBody(this.#tries.target);
    this.#stream.resume();
  }

  /** The client sends nothing more on an upgraded connection. */
  endTunnel(): void {
    this.#stream?.sendEnd("");
  }

  /** Ends the current try, because nobody wants the peer's answer any more. */
  drop(failure: PeerFailure | null): void {
    const { target } = this.#tries;
    if (this.#isWaiting && target !== null) {
      this.#isWaiting = false;
      this.#core.connector.leave(this, target);
    }
    const stream = this.#stream;
    this.#close();
    stream?.abort();
    this.endTry(failure);
  }

  /** Tells the handler that the current try is over, if there is one. Returns false when the handler threw. */
  endTry(failure: PeerFailure | null): boolean {
    const { target, beganMs } = this.#tries;
    if (!this.#isTrying || target === null) return true;
    this.#isTrying = false;
    target.peer.inFlight -= 1;
    const { handler, clock, onError } = this.#core;
    try {
      handler.onTryEnd(this.#view, target, this.#status, failure, clock.now() - beganMs);
      return true;
    } catch (error) {
      onError(error);
      return false;
    }
  }

  /** The peer did not move in time. */
  onLate(): void {
    const { target } = this.#tries;
    const { key } = target?.peer ?? { key: "" };
    const stream = this.#stream;
    if (stream === null) return;
    if (this.#carries === "request") {
      stream.abort();
      this.onFailed({ code: "response_timeout", message: `no answer from ${key} in time` });
    } else if (this.#deadlines.hasRequestFlowed) {
      this.#deadlines.awaitAnswerBody(target);
    } else {
      const message = `${key} stalled in its answer`;
      this.#owner.onAnswerBroken("body_timeout", { code: "response_timeout", message });
    }
  }

  /** Whether there is a stream on which the peer may send. */
  get isFlowing(): boolean {
    return this.#stream !== null && (this.#carries === "request" || !this.#isPaused);
  }

  // What the wire to the peer reads from the request.

  get targetText(): string {
    return this.#target.text;
  }

  get authority(): string {
    return this.#view.sentAuthority === "" ? this.#target.authority : this.#view.sentAuthority;
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
    return this.body.isTapped ? -1 : this.head.contentLength;
  }

  get isStreamed(): boolean {
    return this.body.isTapped || this.head.isStreamed;
  }

  // Called by the wire to the peer.

  onStream(stream: UpstreamStream): void {
    this.#isWaiting = false;
    this.#stream = stream;
    this.#carries = "request";
    this.#tries.sent += 1;
    // The call may have waited for a connection, or have been sent to another peer before.
    if (this.call.deadline !== 0) this.call.passOn(this.head, this.#core.clock.now());
    this.body.open(stream);
  }

  onNoStream(failure: PeerFailure): void {
    this.#isWaiting = false;
    if (failure.code === "queue_timeout") this.#core.counters.countRefused(failure.code);
    this.#owner.onTryFailed(failure, wasNeverSent(failure));
  }

  onInterim(): void {
    this.#owner.onPeerInterim();
  }

  onAnswer(body: string): void {
    const { answerHead, call } = this;
    this.#status = answerHead.status;
    // A call that fails at once has its status in the head.
    if (call.isGrpc) this.#status = call.judged(this.#status, answerHead.fields.raw);
    this.#close();
    this.#owner.onPeerAnswer(body);
  }

  onHead(isFollowed: boolean): void {
    this.#status = this.answerHead.status;
    this.#carries = "answer";
    this.#deadlines.awaitAnswerBody(this.#tries.target);
    this.#owner.onPeerHead(isFollowed);
  }

  onAnswerData(buffer: Buffer, from: number, to: number): void {
    if (to === from) return;
    if (this.#carries === "answer") this.#deadlines.awaitAnswerBody(this.#tries.target);
    this.#owner.onPeerData(from === 0 && to === buffer.length ? buffer : buffer.subarray(from, to));
  }

  onAnswerEnd(trailer: string): void {
    if (this.#carries === "tunnel") {
      this.#carries = "half-tunnel";
      this.#owner.onTunnelHalfClosed();
      return;
    }
    if (this.call.isGrpc) this.#status = this.call.judged(this.#status, trailer);
    this.#close();
    this.#owner.onPeerEnd(trailer);
  }

  onUpgrade(first: Buffer): void {
    this.#status = this.answerHead.status;
    this.#carries = "tunnel";
    this.#deadlines.peer = 0;
    this.#owner.onPeerUpgrade(first);
  }

  onPeerDrain(): void {
    if (this.#carries === "request") {
      this.#deadlines.peer = 0;
      if (this.body.isWhole) this.#deadlines.awaitAnswer(this.#tries.target);
    }
    this.body.onRoom();
  }

  onFailed(failure: PeerFailure): void {
    const stream = this.#stream;
    const carries = this.#carries;
    this.#close();
    if (carries === "tunnel" || carries === "half-tunnel") {
      this.#owner.onTunnelClosed(carries === "tunnel");
    } else if (carries === "answer") {
      const code = failure.code === "bad_response" ? "bad_response_body" : "truncated";
      this.#owner.onAnswerBroken(code, failure);
    } else if (stream !== null) {
      this.#onUnanswered(stream, failure);
    }
  }

  // Called by the request's body.

  onPeerFull(): void {
    if (this.#carries === "request") this.#deadlines.awaitRoom(this.#tries.target);
  }

  onRequestSent(): void {
    if (this.#carries === "request") this.#deadlines.awaitAnswer(this.#tries.target);
  }

  onRequestTapped(): void {
    this.#owner.onRequestTapped();
  }

  onTapFailed(status: number, code: string, message: string): void {
    this.#owner.onTapFailed(status, code, message);
  }

  onTapThrew(error: unknown): void {
    this.#owner.onTapThrew(error);
  }

  #connect(target: Target, wantsNew: boolean): void {
    this.#isWaiting = true;
    if (this.#core.connector.open(this, target, wantsNew)) return;
    this.#isWaiting = false;
    const message = `too many requests wait for ${target.peer.key}`;
    this.#owner.onTryFailed({ code: "queue_full", message }, true);
  }

  #onUnanswered(stream: UpstreamStream, failure: PeerFailure): void {
    const { target } = this.#tries;
    // What the peer did not process may be sent again, whatever its method.
    const isRefused = failure.code === "refused";
    const isRepeatable = isRefused
      ? this.body.isKept
      : isSilence(failure) && !stream.hasAnswered && this.mayRepeat;
    const isReset = failure.code === "reset" && this.#isIdempotent;
    const isRace = (isRefused || isReset) && stream.isReused;
    if (isRepeatable && isRace && target !== null) {
      // The peer closed a kept connection just when the request went out: neither side is at fault.
      this.#tries.sent -= 1;
      this.#connect(target, true);
    } else {
      this.#owner.onTryFailed(failure, isRepeatable);
    }
  }

  get #isIdempotent(): boolean {
    return idempotent.has(this.head.method);
  }

  get #retriesUnsafe(): boolean {
    return this.#tries.target?.retries.nonIdempotent === true;
  }

  /** Lets go of the stream: it is over, or nobody wants it any more. */
  #close(): void {
    this.#stream = null;
    this.#isPaused = false;
    this.#deadlines.peer = 0;
    this.body.close();
  }
}
