/**
 * An exchange's request on its way to a peer: the tries, the connection of the current one or the wait
 * for it, the body that is held for another, and what a failure leads to. What comes back is not seen here.
 */

import type { ClientConnection } from "../downstream/http1/client-connection.ts";
import type { PeerFailure } from "../engine.ts";
import {
  idempotent,
  isSilence,
  leavesTry,
  outcomeOf,
  type Unanswered,
  wasNeverSent,
} from "../exchange/failures.ts";
import { HeldBody } from "../exchange/held-body.ts";
import type { Http1Engine } from "../http-engine.ts";
import { requestTrailer } from "../message/trailer.ts";
import type { Peer } from "../peer.ts";
import type { PeerConnection } from "../upstream/http1/peer-connection.ts";
import { poolOf } from "../upstream/pool.ts";
import type { Http1Exchange } from "./exchange.ts";
import { requestText } from "./outgoing-heads.ts";

export class PeerRequest<C> {
  /** The peer of the current try; `null` before the first. */
  peer: Peer | null = null;
  tries = 0;
  /** Tries in which bytes of the request may have been sent. */
  sent = 0;
  /** Whether nothing of the request is still to come from the client. */
  isRead = false;
  /** The connection of the current try; `null` while it waits for one. */
  connection: PeerConnection<C> | null = null;
  readonly #engine: Http1Engine<C>;
  readonly #client: ClientConnection<C>;
  readonly #exchange: Http1Exchange<C>;
  readonly #tried: Peer[] = [];
  /** Engine clock: when the first try began. */
  #firstTryAt = 0;
  /** Whether it waits for a connection of its peer. */
  #isWaiting = false;
  readonly #held = new HeldBody();
  #trailer = "";

  constructor(engine: Http1Engine<C>, client: ClientConnection<C>, exchange: Http1Exchange<C>) {
    this.#engine = engine;
    this.#client = client;
    this.#exchange = exchange;
  }

  /** Another request begins. `body`: the whole of it, when it is there. */
  begin(hasBody: boolean, body: Buffer | null): void {
    this.peer = null;
    this.tries = 0;
    this.sent = 0;
    this.isRead = !hasBody || body !== null;
    this.#tried.length = 0;
    this.#held.reset();
    if (body !== null) this.#held.push(body);
    this.#trailer = "";
  }

  /** The exchange is over. */
  end(): void {
    this.#held.reset();
  }

  get elapsedMs(): number {
    return this.#engine.clock - this.#firstTryAt;
  }

  /** How long an attempt to connect for it may take. */
  get connectTimeoutMs(): number {
    return this.#exchange.tryLimits?.connectTimeoutMs ?? this.#engine.limits.connectTimeoutMs;
  }

  tried(peer: Peer): boolean {
    return this.#tried.includes(peer);
  }

  /** Has the handler pick a peer, and tries it. `last`: what became of the try before. */
  try(last: Unanswered | null): void {
    const exchange = this.#exchange;
    const { serial } = exchange;
    let peer: Peer | null;
    try {
      peer = this.#engine.handler.onPick(exchange);
    } catch (error) {
      exchange.onHandlerThrew(error, serial);
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

  /** A piece of the body. False: there is no room for more before `onPeerDrain`. */
  sendBody(piece: Buffer): boolean {
    const { connection } = this;
    const held = this.#held;
    if (held.isWhole) {
      held.push(piece);
      if (connection !== null && held.isFull) held.letGo();
    }
    if (connection === null) return !held.isFull;
    return connection.sendBody(piece, this.#exchange.head.isChunked);
  }

  /** The request is whole. `trailer` is as the client sent it. */
  sendEnd(trailer: string): void {
    this.isRead = true;
    const { head, trailers } = this.#exchange;
    this.#trailer = requestTrailer(trailer, head.connection, trailers);
    const { connection } = this;
    if (connection !== null) this.#sendBodyEnd(connection);
  }

  /** The answer has begun: there will be no other try. */
  onAnswered(): void {
    this.#held.letGo();
  }

  /** The answer is whole: the connection may serve another request. */
  finish(): void {
    const { connection } = this;
    if (connection === null) return;
    this.connection = null;
    connection.peer.inFlight -= 1;
    connection.release(connection.head.keepAlive && this.isRead);
  }

  /** No answer is wanted any more. */
  drop(): void {
    if (this.#isWaiting && this.peer !== null) {
      this.#isWaiting = false;
      this.peer.inFlight -= 1;
      poolOf(this.#engine, this.peer).leave(this.#exchange);
    }
    const { connection } = this;
    if (connection === null) return;
    this.connection = null;
    connection.peer.inFlight -= 1;
    connection.destroy();
  }

  // What the pool and the peer connection tell.

  /** A connection to the peer is there. */
  onConnection(connection: PeerConnection<C>): void {
    this.#isWaiting = false;
    this.connection = connection;
    this.sent += 1;
    const exchange = this.#exchange;
    const { head, target, authority, id, trailers } = exchange;
    const text = requestText(head, this.#client, target.text, authority, id, trailers);
    connection.sendHead(text, this.#held.pieces, head.isChunked);
    if (this.isRead) this.#sendBodyEnd(connection);
    if (this.#held.isFull) this.#held.letGo();
    this.#client.resumeReading();
  }

  /** No connection of the peer became free in time. */
  onQueueTimeout(): void {
    this.#isWaiting = false;
    if (this.peer !== null) this.peer.inFlight -= 1;
    this.#engine.countRefused("queue_timeout");
    const message = `no peer of ${this.#exchange.host} became free in time`;
    this.#exchange.giveError(503, "queue_timeout", message);
  }

  /** No connection to the peer could be established. */
  onConnectFailed(failure: PeerFailure): void {
    this.#isWaiting = false;
    if (this.peer !== null) this.#onTryFailed(this.peer, failure, wasNeverSent(failure));
  }

  /**
   * It waited as long as connecting may take, and an attempt that was under way all that time came to nothing.
   * The peer was blamed for that already.
   */
  onConnectOverdue(failure: PeerFailure): void {
    this.#isWaiting = false;
    if (this.peer !== null) this.peer.inFlight -= 1;
    this.#afterTry(failure, true);
  }

  onPeerDrain(connection: PeerConnection<C>): void {
    if (this.isRead) connection.awaitAnswer();
    this.#client.resumeReading();
  }

  onPeerFailed(connection: PeerConnection<C>, failure: PeerFailure): void {
    this.connection = null;
    const isSafe =
      isSilence(failure) &&
      !connection.hasAnswered &&
      this.#held.isWhole &&
      idempotent.has(this.#exchange.method);
    if (isSafe && failure.code === "reset" && connection.isReused) {
      // The peer closed a kept connection just as the request went out: no fault of either side.
      this.sent -= 1;
      connection.peer.inFlight -= 1;
      this.#connect(connection.peer, true);
      return;
    }
    this.#onTryFailed(connection.peer, failure, isSafe);
  }

  /** `isSafe`: the request may be sent again. */
  #onTryFailed(peer: Peer, failure: PeerFailure, isSafe: boolean): void {
    const exchange = this.#exchange;
    peer.inFlight -= 1;
    try {
      this.#engine.handler.onPeerFailure(exchange, peer, failure);
    } catch (error) {
      exchange.onHandlerThrew(error, exchange.serial);
      return;
    }
    this.#afterTry(failure, isSafe);
  }

  #afterTry(last: Unanswered, isSafe: boolean): void {
    const exchange = this.#exchange;
    exchange.phase = "handling";
    if (isSafe && leavesTry(this, exchange.tryLimits, this.#engine.limits)) this.try(last);
    else this.#failAfter(last);
  }

  #connect(peer: Peer, wantsNew: boolean): void {
    this.peer = peer;
    peer.inFlight += 1;
    const exchange = this.#exchange;
    const pool = poolOf<C>(this.#engine, peer);
    const kept = wantsNew ? undefined : pool.take();
    if (kept !== undefined) {
      kept.serve(exchange, true);
      this.onConnection(kept);
    } else if (pool.wait(exchange, wantsNew)) {
      this.#isWaiting = true;
    } else {
      peer.inFlight -= 1;
      this.#afterTry("queue_full", true);
    }
  }

  #failAfter(last: Unanswered | null): void {
    const { status, code, message } = outcomeOf(last, this.#exchange.host);
    if (last === "queue_full") this.#engine.countRefused(code);
    this.#exchange.giveError(status, code, message);
  }

  #sendBodyEnd(connection: PeerConnection<C>): void {
    if (this.#exchange.head.isChunked) connection.sendText(`0\r\n${this.#trailer}\r\n`);
    connection.awaitAnswer();
  }
}
