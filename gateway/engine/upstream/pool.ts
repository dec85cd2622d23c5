/**
 * The connections of one peer, and the requests that wait for one. A waiting request has no connection of
 * its own on the way: it takes whichever is there first, one that another request is done with or a new one.
 */
import type { PeerFailure } from "../engine.ts";
import type { Http1Engine } from "../http-engine.ts";
import type { Http1Exchange } from "../http1/exchange.ts";
import type { Peer } from "../peer.ts";
import { PeerConnection } from "./http1/peer-connection.ts";

interface Waiting<C> {
  readonly exchange: Http1Exchange<C>;
  /** Whether a kept connection failed it already: only a new one will do. */
  readonly wantsNew: boolean;
  /** Engine clock; `Infinity` when a connection can be opened for it, which has its own deadline. */
  readonly deadline: number;
  readonly ticket: number;
}

export class Pool<C> {
  readonly #engine: Http1Engine<C>;
  readonly #peer: Peer;
  /** A stack, so that the warmest is used first. */
  readonly #idle: PeerConnection<C>[] = [];
  #waiting: Waiting<C>[] = [];
  /** Connections of any state, those on their way included. */
  #size = 0;
  #connecting = 0;
  #lastTicket = 0;

  constructor(engine: Http1Engine<C>, peer: Peer) {
    this.#engine = engine;
    this.#peer = peer;
  }

  /** The kept connection that was used last. */
  take(): PeerConnection<C> | undefined {
    let connection = this.#idle.pop();
    while (connection?.isClosing) connection = this.#idle.pop();
    return connection;
  }

  /** Puts a request in the queue, and opens a connection if there may be one more. False: the queue is full. */
  wait(exchange: Http1Exchange<C>, wantsNew: boolean): boolean {
    const { maxConnectionsPerPeer, maxWaitingPerPeer, queueTimeoutMs } = this.#engine.limits;
    const busy = this.#size - this.#connecting;
    const room = maxConnectionsPerPeer === 0 ? Infinity : maxConnectionsPerPeer - busy;
    const ahead = this.#waiting.length;
    if (ahead >= room + maxWaitingPerPeer) return false;
    const deadline = ahead < room ? Infinity : this.#engine.clock + queueTimeoutMs;
    if (ahead === 0) this.#engine.watchQueue(this);
    this.#lastTicket += 1;
    this.#waiting.push({ exchange, wantsNew, deadline, ticket: this.#lastTicket });
    this.#open();
    return true;
  }

  get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** The exchange waits no longer. */
  leave(exchange: Http1Exchange<C>): void {
    const index = this.#waiting.findIndex((waiting) => waiting.exchange === exchange);
    if (index !== -1) this.#waiting.splice(index, 1);
  }

  /** Tells those whose time is up. */
  expire(now: number): void {
    for (const { exchange } of this.#takeOut(({ deadline }) => deadline <= now)) {
      exchange.peerRequest.onQueueTimeout();
    }
  }

  /** The peer has gone: what no request uses is closed. */
  clear(): void {
    for (const connection of this.#idle.splice(0)) connection.destroy();
  }

  // What the connections tell.

  onConnected(connection: PeerConnection<C>): void {
    this.#connecting -= 1;
    this.#give(connection, true);
  }

  /** No request uses the connection any more, and it may serve another. */
  onFree(connection: PeerConnection<C>): void {
    this.#give(connection, false);
  }

  /**
   * A connection could not be established: that fails the request that has waited longest, if it waited before
   * the attempt began (`ticket` is the last that did). Others are left another attempt. But when time ran out,
   * and the peer has not one connection, those that have no attempt of their own under way have waited as long
   * as connecting may take: they leave too.
   */
  onConnectFailed(failure: PeerFailure, ticket: number): void {
    this.#connecting -= 1;
    this.#size -= 1;
    const oldest = this.#waiting[0];
    const failed = oldest !== undefined && oldest.ticket <= ticket ? this.#waiting.shift() : null;
    const isHopeless = failure.code === "connect_timeout" && this.#size === this.#connecting;
    const served = this.#waiting[this.#connecting - 1]?.ticket ?? 0;
    const overdue = isHopeless
      ? this.#takeOut((waiting) => waiting.ticket > served && waiting.ticket <= ticket)
      : [];
    failed?.exchange.peerRequest.onConnectFailed(failure);
    for (const { exchange } of overdue) exchange.peerRequest.onConnectOverdue(failure);
    this.#open();
  }

  /** An established connection is closed. */
  onClosed(connection: PeerConnection<C>): void {
    this.#size -= 1;
    this.onEnding(connection);
    this.#open();
  }

  /** The peer will close the connection: it serves no other request. */
  onEnding(connection: PeerConnection<C>): void {
    const index = this.#idle.lastIndexOf(connection);
    if (index !== -1) this.#idle.splice(index, 1);
  }

  #give(connection: PeerConnection<C>, isNew: boolean): void {
    if (!isNew && this.#connecting === 0 && this.#waiting[0]?.wantsNew) {
      // Makes room for the new one, or those that come later would always be served first.
      connection.destroy();
      return;
    }
    const index = isNew ? 0 : this.#waiting.findIndex((waiting) => !waiting.wantsNew);
    const [next] = index === -1 ? [] : this.#waiting.splice(index, 1);
    if (next !== undefined) {
      connection.serve(next.exchange, !isNew);
      next.exchange.peerRequest.onConnection(connection);
      return;
    }
    if (this.#peer.retired || this.#idle.length >= this.#engine.limits.maxIdlePerPeer) {
      connection.destroy();
      return;
    }
    connection.rest();
    this.#idle.push(connection);
    this.#open();
  }

  /** As many connections on their way as requests wait, within what the peer may have. */
  #open(): void {
    const { maxConnectionsPerPeer } = this.#engine.limits;
    while (this.#connecting < this.#waiting.length) {
      if (maxConnectionsPerPeer > 0 && this.#size >= maxConnectionsPerPeer) {
        // Only those that want a new one wait beside kept ones: the coldest makes room.
        this.#idle.shift()?.destroy();
        return;
      }
      const next = this.#waiting[this.#connecting];
      if (next === undefined) return;
      this.#size += 1;
      this.#connecting += 1;
      const { connectTimeoutMs } = next.exchange.peerRequest;
      new PeerConnection(this.#engine, this.#peer, this, this.#lastTicket, connectTimeoutMs);
    }
  }

  #takeOut(isMeant: (waiting: Waiting<C>) => boolean): readonly Waiting<C>[] {
    const meant = this.#waiting.filter(isMeant);
    if (meant.length > 0) this.#waiting = this.#waiting.filter((waiting) => !isMeant(waiting));
    return meant;
  }
}

/** The pool that the engine keeps in a peer's slot; made when first asked for. */
export function poolOf<C>(engine: Http1Engine<C>, peer: Peer): Pool<C> {
  if (peer.slot instanceof Pool) return peer.slot;
  const pool = new Pool<C>(engine, peer);
  peer.slot = pool;
  return pool;
}
