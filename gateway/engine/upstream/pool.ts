/**
 * The connections to one peer that serve one request at a time, and the requests that wait for one. No connection
 * is reserved for a waiting request: it takes the first that is there, whether new or freed by another request.
 */
import type { PeerFailure } from "../engine.ts";
import type { UpstreamRequest } from "../exchange/ports.ts";
import type { Peer } from "../peer.ts";
import type { PeerTls, Target } from "../target.ts";
import { peerTlsId } from "./peer-tls.ts";
import type {
  ConnectionOwner,
  ConnectToPeer,
  PeerHost,
  PeerPool,
  PooledConnection,
} from "./pooled.ts";

interface Waiting {
  readonly request: UpstreamRequest;
  /** Whether a kept connection has failed this request already, so that only a new one will do. */
  readonly wantsNew: boolean;
  /** How long an attempt to connect for this request may take. */
  readonly connectTimeoutMs: number;
  /**
   * On the engine's clock; `Infinity` when a connection can be opened for the request, since connecting has a
   * deadline of its own.
   */
  readonly deadline: number;
  readonly ticket: number;
}

export class Pool implements ConnectionOwner, PeerPool {
  next: PeerPool | null = null;
  readonly #host: PeerHost;
  readonly #connect: ConnectToPeer;
  readonly #peer: Peer;
  readonly #tls: PeerTls | null;
  readonly #tlsId: string;
  /** A stack, so that the connection that was used last is used first. */
  readonly #idle: PooledConnection[] = [];
  /** Connections that are being established, each with the ticket of the last request that waited when it began. */
  readonly #connecting = new Map<PooledConnection, number>();
  #waiting: Waiting[] = [];
  /** Connections in any state, including those that are being established. */
  #size = 0;
  #lastTicket = 0;

  constructor(host: PeerHost, connect: ConnectToPeer, { peer, tls }: Target) {
    this.#host = host;
    this.#connect = connect;
    this.#peer = peer;
    this.#tls = tls;
    this.#tlsId = tls === null ? "" : peerTlsId(tls);
  }

  fits({ protocol, tls }: Target): boolean {
    if (protocol !== "http1") return false;
    return tls === this.#tls || (tls === null ? "" : peerTlsId(tls)) === this.#tlsId;
  }

  open(request: UpstreamRequest, target: Target, wantsNew: boolean): boolean {
    const kept = wantsNew ? undefined : this.#take();
    if (kept === undefined) return this.#wait(request, target, wantsNew);
    kept.serve(request, true);
    return true;
  }

  get isEmpty(): boolean {
    return this.#size === 0 && this.#waiting.length === 0;
  }

  /** Takes the kept connection that was used last. */
  #take(): PooledConnection | undefined {
    let connection = this.#idle.pop();
    while (connection?.isClosing) connection = this.#idle.pop();
    return connection;
  }

  /**
   * Puts a request in the queue, and opens a connection if one more is allowed. Returns false when the queue is
   * full.
   */
  #wait(request: UpstreamRequest, target: Target, wantsNew: boolean): boolean {
    const { clock, limits } = this.#host;
    const { maxConnectionsPerPeer, maxWaitingPerPeer, queueTimeoutMs } = limits;
    const busy = this.#size - this.#connecting.size;
    const room = maxConnectionsPerPeer === 0 ? Infinity : maxConnectionsPerPeer - busy;
    const ahead = this.#waiting.length;
    if (ahead >= room + maxWaitingPerPeer) return false;
    const deadline = ahead < room ? Infinity : clock.current + queueTimeoutMs;
    const connectTimeoutMs = target.connectTimeoutMs ?? limits.connectTimeoutMs;
    this.#lastTicket += 1;
    const ticket = this.#lastTicket;
    this.#waiting.push({ request, wantsNew, connectTimeoutMs, deadline, ticket });
    this.#open();
    return true;
  }

  get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  leave(request: UpstreamRequest): void {
    const index = this.#waiting.findIndex((waiting) => waiting.request === request);
    if (index !== -1) this.#waiting.splice(index, 1);
  }

  expire(now: number): void {
    const message = `no connection of ${this.#peer.key} became free in time`;
    for (const { request } of this.#takeOut(({ deadline }) => deadline <= now)) {
      request.onNoStream({ code: "queue_timeout", message });
    }
  }

  clear(): void {
    for (const connection of this.#idle.splice(0)) connection.destroy();
  }

  // Called by the connections.

  onConnected(connection: PooledConnection): void {
    this.#connecting.delete(connection);
    this.#give(connection, true);
  }

  onFree(connection: PooledConnection): void {
    this.#give(connection, false);
  }

  /**
   * A failed attempt fails the request that has waited longest, if that request waited before the attempt began.
   * Other requests get another attempt. A timeout is different when the peer has no connection at all: every
   * request that waited before the attempt began, and for which no other attempt is under way, has then waited as
   * long as connecting may take. Those requests fail too, without blaming the peer again.
   */
  onConnectFailed(connection: PooledConnection, failure: PeerFailure): void {
    const lastTicket = this.#connecting.get(connection) ?? 0;
    this.#connecting.delete(connection);
    this.#size -= 1;
    const oldest = this.#waiting[0];
    const failed =
      oldest !== undefined && oldest.ticket <= lastTicket ? this.#waiting.shift() : null;
    const isIrreversible =
      failure.code === "connect_timeout" && this.#size === this.#connecting.size;
    const served = this.#waiting[this.#connecting.size - 1]?.ticket ?? 0;
    const overdue = isIrreversible
      ? this.#takeOut((waiting) => waiting.ticket > served && waiting.ticket <= lastTicket)
      : [];
    failed?.request.onNoStream(failure);
    for (const { request } of overdue) {
      request.onNoStream({ code: "connect_overdue", message: failure.message });
    }
    this.#open();
  }

  onClosed(connection: PooledConnection): void {
    this.#size -= 1;
    this.onEnding(connection);
    this.#open();
  }

  onEnding(connection: PooledConnection): void {
    const index = this.#idle.lastIndexOf(connection);
    if (index !== -1) this.#idle.splice(index, 1);
  }

  #give(connection: PooledConnection, isNew: boolean): void {
    if (!isNew && this.#connecting.size === 0 && this.#waiting[0]?.wantsNew) {
      // Makes room for a new connection; otherwise requests that came later would always be served first.
      connection.destroy();
      return;
    }
    if (this.#waiting.length > 0) {
      const index = isNew ? 0 : this.#waiting.findIndex((waiting) => !waiting.wantsNew);
      const [next] = index === -1 ? [] : this.#waiting.splice(index, 1);
      if (next !== undefined) {
        connection.serve(next.request, !isNew);
        return;
      }
    }
    if (this.#peer.retired || this.#idle.length >= this.#host.limits.maxIdlePerPeer) {
      connection.destroy();
      return;
    }
    connection.rest();
    this.#idle.push(connection);
    if (this.#waiting.length > 0) this.#open();
  }

  /** Opens a connection for each waiting request, within the peer's limit. */
  #open(): void {
    const { maxConnectionsPerPeer } = this.#host.limits;
    while (this.#connecting.size < this.#waiting.length) {
      if (maxConnectionsPerPeer > 0 && this.#size >= maxConnectionsPerPeer) {
        // Only requests that want a new connection wait while others are idle: the one that was idle longest makes
        // room.
        this.#idle.shift()?.destroy();
        return;
      }
      const next = this.#waiting[this.#connecting.size];
      if (next === undefined) return;
      this.#size += 1;
      const connection = this.#connect(
        this.#host,
        this.#peer,
        this.#tls,
        this,
        next.connectTimeoutMs,
      );
      this.#connecting.set(connection, this.#lastTicket);
    }
  }

  #takeOut(isMeant: (waiting: Waiting) => boolean): readonly Waiting[] {
    const meant = this.#waiting.filter(isMeant);
    if (meant.length > 0) this.#waiting = this.#waiting.filter((waiting) => !isMeant(waiting));
    return meant;
  }
}
