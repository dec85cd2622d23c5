/**
 * An exchange's request on its way to a peer: the tries, the turn at the peer or the wait for it, the body
 * that is held for another, and what a failure leads to. What comes back is not seen here.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { PeerFailure, Target } from "../engine.ts";
import { idempotent, isSilence, outcomeOf, wasNeverSent } from "../exchange/failures.ts";
import { Tries } from "../exchange/tries.ts";
import type { RequestTarget } from "../message/request-target.ts";
import { oddTrailerNames, requestTrailer } from "../message/trailer.ts";
import type { Peer } from "../peer.ts";
import type { ClientSession } from "./client-session.ts";
import type { ReferenceExchange } from "./exchange.ts";
import type { ExchangeDeadlines } from "./exchange-deadlines.ts";
import type { Try, TryEvents } from "./forwarder.ts";
import { outgoingRequest } from "./outgoing-request.ts";
import type { PeerPool, Waiter } from "./peer-pool.ts";
import type { ReferenceEngine } from "./reference.ts";
import { RequestBody } from "./request-body.ts";
import type { RequestPlan } from "./request-plan.ts";
import { trailerLines, trailerPairs } from "./trailers.ts";

export class PeerRequest<C> implements Waiter {
  readonly #engine: ReferenceEngine<C>;
  readonly #session: ClientSession<C>;
  readonly #exchange: ReferenceExchange<C>;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #plan: RequestPlan;
  readonly #target: RequestTarget;
  readonly #deadlines: ExchangeDeadlines;
  readonly #body: RequestBody;
  readonly #tries = new Tries();
  /** Status of the current try's answer; 0: none came. */
  #status = 0;
  /** Whether a try has begun whose end was not told. */
  #isTrying = false;
  /** Where it has its turn, or waits for it. */
  #pool: PeerPool | null = null;
  #isWaiting = false;
  #try: Try | null = null;

  constructor(
    engine: ReferenceEngine<C>,
    session: ClientSession<C>,
    exchange: ReferenceExchange<C>,
    request: IncomingMessage,
    response: ServerResponse,
    plan: RequestPlan,
    target: RequestTarget,
    deadlines: ExchangeDeadlines,
  ) {
    this.#engine = engine;
    this.#session = session;
    this.#exchange = exchange;
    this.#request = request;
    this.#response = response;
    this.#plan = plan;
    this.#target = target;
    this.#deadlines = deadlines;
    if (exchange.hasBody) deadlines.awaitBody();
    this.#body = new RequestBody(request, !exchange.hasBody, {
      onBytes: (count) => exchange.onRequestData(count),
      onEnd: () => this.#onBodyEnd(),
    });
  }

  /** Whether nothing of the request is still to come from the client. */
  get isRead(): boolean {
    return this.#body.isDone;
  }

  get target(): Target | null {
    return this.#tries.target;
  }

  get tries(): number {
    return this.#tries.count;
  }

  tried(peer: Peer): boolean {
    return this.#tries.has(peer);
  }

  /** Has the handler pick a peer, and tries it. `last`: what became of the try before. */
  try(last: PeerFailure | null): void {
    const exchange = this.#exchange;
    let target: Target | null;
    try {
      target = this.#engine.handler.onPick(exchange);
    } catch (error) {
      exchange.onHandlerThrew(error);
      return;
    }
    if (exchange.phase !== "handling") return;
    if (target === null) {
      this.#failAfter(last);
      return;
    }
    exchange.phase = "trying";
    this.#tries.begin(target, this.#engine.now(), this.#engine.clock);
    this.#isTrying = true;
    this.#status = 0;
    this.#connect(target, false);
  }

  /** The answer has begun: there will be no other try. */
  onAnswered(status: number): void {
    this.#status = status;
    this.#deadlines.clearPeer();
    this.#body.letGo();
  }

  /** The client is slower than what is written to it. */
  pauseAnswer(): void {
    this.#try?.pause();
  }

  resumeAnswer(): void {
    this.#try?.resume();
  }

  /** The client took what was written to it. */
  onClientDrain(): void {
    if (this.#try !== null && this.isRead) this.#deadlines.clearClient();
  }

  /** The peer did not answer in time. */
  onLate(): void {
    const message = `no answer from ${this.target?.peer.key} in time`;
    this.#try?.fail({ code: "response_timeout", message });
  }

  /** The peer's answer is not to be passed on. */
  onBadAnswer(why: string): void {
    this.#try?.cancel();
    this.#onFailed({ code: "bad_response", message: `${this.target?.peer.key}: ${why}` });
  }

  /** The try is over, and its turn with it. `isKept`: the connection may serve another request. */
  finish(isKept: boolean): void {
    const pool = this.#pool;
    const { target } = this;
    if (pool === null || target === null) return;
    this.#pool = null;
    target.peer.inFlight -= 1;
    this.#deadlines.clearPeer();
    this.#body.close();
    this.#try?.finish(isKept);
    this.#try = null;
    pool.leave();
  }

  /** No answer is wanted any more. */
  drop(): void {
    const { target } = this;
    if (this.#isWaiting && this.#pool !== null && target !== null) {
      this.#isWaiting = false;
      this.#pool.giveUp(this);
      this.#pool = null;
      target.peer.inFlight -= 1;
      return;
    }
    this.#try?.cancel();
    this.finish(false);
  }

  /** The exchange is over. */
  end(): void {
    this.#body.drop();
    this.#endTry(null);
  }

  // What the pool tells.

  onTurn(): void {
    this.#isWaiting = false;
    this.#send();
  }

  onQueueTimeout(): void {
    this.#isWaiting = false;
    this.#pool = null;
    const { target } = this;
    if (target === null) return;
    target.peer.inFlight -= 1;
    this.#engine.countRefused("queue_timeout");
    const message = `no connection of ${target.peer.key} became free in time`;
    this.#afterTry({ code: "queue_timeout", message }, false);
  }

  /** `isRepeat`: it has just left its turn at this peer. */
  #connect({ peer }: Target, isRepeat: boolean): void {
    peer.inFlight += 1;
    const pool = this.#engine.poolOf(peer);
    this.#pool = pool;
    const turn = this.#engine.enter(pool, this, isRepeat);
    if (turn === "ready") this.#send();
    else if (turn === "waiting") this.#isWaiting = true;
    else {
      this.#pool = null;
      peer.inFlight -= 1;
      const message = `too many requests wait for ${peer.key}`;
      this.#afterTry({ code: "queue_full", message }, true);
    }
  }

  #send(): void {
    const { target } = this;
    const pool = this.#pool;
    if (target === null || pool === null) return;
    const exchange = this.#exchange;
    const body = this.#body;
    const { limits } = this.#engine;
    const connectTimeoutMs = target.connectTimeoutMs ?? limits.connectTimeoutMs;
    const outgoing = outgoingRequest(
      this.#request,
      this.#plan,
      this.#target,
      this.#session.address,
      exchange.id,
      exchange.trailers,
      body.open(),
    );
    const events: TryEvents = {
      onHead: () => body.begin(),
      onConnected: () => {
        this.#tries.sent += 1;
        body.onConnected();
      },
      onSent: () => {
        if (exchange.phase !== "trying") return;
        this.#deadlines.awaitPeer(target.readTimeoutMs ?? limits.responseTimeoutMs);
      },
      onInformational: (status, rawHeaders) =>
        exchange.clientAnswer.onInformational(status, rawHeaders),
      onResponse: (answer) => exchange.clientAnswer.onResponse(answer),
      onSwitched: (answer, socket, first) =>
        exchange.clientAnswer.onSwitched(answer, socket, first),
      onFailed: (failure) => this.#onFailed(failure),
      onCut: (code) => exchange.clientAnswer.onCut(code),
    };
    this.#try = this.#engine.forwarder.send(
      this.#request,
      this.#response,
      target.peer,
      pool,
      outgoing,
      connectTimeoutMs,
      events,
    );
  }

  #onBodyEnd(): void {
    this.#deadlines.clearClient();
    if (!this.#plan.isChunked) return;
    const lines = trailerLines(this.#request.rawTrailers);
    this.#engine.countDropped(oddTrailerNames(lines, this.#engine.limits));
    const { connection } = this.#plan.headers;
    const allowed = requestTrailer(lines, connection, this.#exchange.trailers);
    this.#try?.addTrailers(trailerPairs(allowed));
  }

  #onFailed(failure: PeerFailure): void {
    const { target } = this;
    const attempt = this.#try;
    const exchange = this.#exchange;
    if (target === null || attempt === null || exchange.phase !== "trying") return;
    const mayRepeat =
      isSilence(failure) &&
      !attempt.hasAnswered &&
      this.#body.canRepeat &&
      idempotent.has(exchange.method);
    this.finish(false);
    if (mayRepeat && failure.code === "reset" && attempt.isReused) {
      // The peer closed a kept connection just as the request went out: no fault of either side.
      this.#tries.sent -= 1;
      this.#connect(target, true);
      return;
    }
    this.#afterTry(failure, mayRepeat || wasNeverSent(failure));
  }

  #afterTry(last: PeerFailure, isSafe: boolean): void {
    const exchange = this.#exchange;
    if (!this.#endTry(last)) return;
    exchange.phase = "handling";
    const { limits, clock } = this.#engine;
    if (isSafe && this.#tries.leavesAnother(limits, clock)) this.try(last);
    else this.#failAfter(last);
  }

  /** Tells the handler that the current try is over, if there is one. False: it threw. */
  #endTry(failure: PeerFailure | null): boolean {
    const { target, beganMs } = this.#tries;
    if (!this.#isTrying || target === null) return true;
    this.#isTrying = false;
    const { handler, now } = this.#engine;
    try {
      handler.onTryEnd(this.#exchange, target, this.#status, failure, now() - beganMs);
      return true;
    } catch (error) {
      this.#exchange.onHandlerThrew(error);
      return false;
    }
  }

  #failAfter(last: PeerFailure | null): void {
    const { status, code, message } = outcomeOf(last, this.#target.host);
    if (code === "queue_full") this.#engine.countRefused(code);
    this.#exchange.giveError(status, code, message);
  }
}
