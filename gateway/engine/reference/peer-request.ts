/**
 * An exchange's request on its way to a peer: the tries, the turn at the peer or the wait for it, the body
 * that is held for another, and what a failure leads to. What comes back is not seen here.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { PeerFailure } from "../engine.ts";
import {
  idempotent,
  isSilence,
  leavesTry,
  outcomeOf,
  type Unanswered,
  wasNeverSent,
} from "../exchange/failures.ts";
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
  /** The peer of the current try; `null` before the first. */
  peer: Peer | null = null;
  tries = 0;
  /** Tries in which bytes of the request may have been sent. */
  sent = 0;
  readonly #engine: ReferenceEngine<C>;
  readonly #session: ClientSession<C>;
  readonly #exchange: ReferenceExchange<C>;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #plan: RequestPlan;
  readonly #target: RequestTarget;
  readonly #deadlines: ExchangeDeadlines;
  readonly #body: RequestBody;
  readonly #tried: Peer[] = [];
  /** Engine clock: when the first try began. */
  #firstTryAt = 0;
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

  get elapsedMs(): number {
    return this.#engine.clock - this.#firstTryAt;
  }

  tried(peer: Peer): boolean {
    return this.#tried.includes(peer);
  }

  /** Has the handler pick a peer, and tries it. `last`: what became of the try before. */
  try(last: Unanswered | null): void {
    const exchange = this.#exchange;
    let peer: Peer | null;
    try {
      peer = this.#engine.handler.onPick(exchange);
    } catch (error) {
      exchange.onHandlerThrew(error);
      return;
    }
    if (exchange.phase !== "handling") return;
    if (peer === null) {
      this.#failAfter(last);
      return;
    }
    exchange.phase = "trying";
    if (this.tries === 0) this.#firstTryAt = this.#engine.clock;
    this.tries += 1;
    this.#tried.push(peer);
    this.#connect(peer, false);
  }

  /** The answer has begun: there will be no other try. */
  onAnswered(): void {
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
    const message = `no answer from ${this.peer?.key} in time`;
    this.#try?.fail({ code: "response_timeout", message });
  }

  /** The peer's answer is not to be passed on. */
  onBadAnswer(why: string): void {
    this.#try?.cancel();
    this.#onFailed({ code: "bad_response", message: `${this.peer?.key}: ${why}` });
  }

  /** The try is over, and its turn with it. `isKept`: the connection may serve another request. */
  finish(isKept: boolean): void {
    const pool = this.#pool;
    if (pool === null || this.peer === null) return;
    this.#pool = null;
    this.peer.inFlight -= 1;
    this.#deadlines.clearPeer();
    this.#body.close();
    this.#try?.finish(isKept);
    this.#try = null;
    pool.leave();
  }

  /** No answer is wanted any more. */
  drop(): void {
    if (this.#isWaiting && this.#pool !== null && this.peer !== null) {
      this.#isWaiting = false;
      this.#pool.giveUp(this);
      this.#pool = null;
      this.peer.inFlight -= 1;
      return;
    }
    this.#try?.cancel();
    this.finish(false);
  }

  /** The exchange is over. */
  end(): void {
    this.#body.drop();
  }

  // What the pool tells.

  onTurn(): void {
    this.#isWaiting = false;
    this.#send();
  }

  onQueueTimeout(): void {
    this.#isWaiting = false;
    this.#pool = null;
    if (this.peer !== null) this.peer.inFlight -= 1;
    this.#engine.countRefused("queue_timeout");
    const message = `no peer of ${this.#target.host} became free in time`;
    this.#exchange.giveError(503, "queue_timeout", message);
  }

  /** `isRepeat`: it has just left its turn at this peer. */
  #connect(peer: Peer, isRepeat: boolean): void {
    this.peer = peer;
    peer.inFlight += 1;
    const pool = this.#engine.poolOf(peer);
    this.#pool = pool;
    const turn = this.#engine.enter(pool, this, isRepeat);
    if (turn === "ready") this.#send();
    else if (turn === "waiting") this.#isWaiting = true;
    else {
      this.#pool = null;
      peer.inFlight -= 1;
      this.#afterTry("queue_full", true);
    }
  }

  #send(): void {
    const { peer } = this;
    const pool = this.#pool;
    if (peer === null || pool === null) return;
    const exchange = this.#exchange;
    const body = this.#body;
    const { limits } = this.#engine;
    const own = exchange.tryLimits;
    const connectTimeoutMs = own?.connectTimeoutMs ?? limits.connectTimeoutMs;
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
        this.sent += 1;
        body.onConnected();
      },
      onSent: () => {
        if (exchange.phase !== "trying") return;
        this.#deadlines.awaitPeer(own?.readTimeoutMs ?? limits.responseTimeoutMs);
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
      peer,
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
    const { peer } = this;
    const attempt = this.#try;
    const exchange = this.#exchange;
    if (peer === null || attempt === null || exchange.phase !== "trying") return;
    const mayRepeat =
      isSilence(failure) &&
      !attempt.hasAnswered &&
      this.#body.canRepeat &&
      idempotent.has(exchange.method);
    this.finish(false);
    if (mayRepeat && failure.code === "reset" && attempt.isReused) {
      // The peer closed a kept connection just as the request went out: no fault of either side.
      this.sent -= 1;
      this.#connect(peer, true);
      return;
    }
    try {
      this.#engine.handler.onPeerFailure(exchange, peer, failure);
    } catch (error) {
      exchange.onHandlerThrew(error);
      return;
    }
    this.#afterTry(failure, mayRepeat || wasNeverSent(failure));
  }

  #afterTry(last: Unanswered, isSafe: boolean): void {
    const exchange = this.#exchange;
    exchange.phase = "handling";
    if (isSafe && leavesTry(this, exchange.tryLimits, this.#engine.limits)) this.try(last);
    else this.#failAfter(last);
  }

  #failAfter(last: Unanswered | null): void {
    const { status, code, message } = outcomeOf(last, this.#target.host);
    if (last === "queue_full") this.#engine.countRefused(code);
    this.#exchange.giveError(status, code, message);
  }
}
