/**
 * The HTTP/2 connections to one peer, and the requests that wait for a stream. Requests share a connection up to a
 * number of streams; then the pool opens another.
 */
import type { PeerFailure } from "../../engine.ts";
import type { UpstreamRequest } from "../../exchange/ports.ts";
import type { Peer } from "../../peer.ts";
import type { PeerTls, Target } from "../../target.ts";
import { peerTlsId } from "../peer-tls.ts";
import type { PeerHost, PeerPool } from "../pooled.ts";
import { PeerSession, type SessionOwner } from "./peer-session.ts";

/**
 * For how many waiting requests one connection is opened: the peer's own limit is not known before it is
 * established.
 */
const requestsPerAttempt = 100;

interface Waiting {
  readonly request: UpstreamRequest;
  /** Whether a kept connection has failed this request already, so that only a new one will do. */
  readonly wantsNew: boolean;
  readonly connectTimeoutMs: number;
  /**
   * On the engine's clock; `Infinity` when a connection can be opened for the request, since connecting has a
   * deadline of its own.
   */
  readonly deadline: number;
}

export class SessionPool implements SessionOwner, PeerPool {
  next: PeerPool | null = null;
  readonly #host: PeerHost;
  readonly #peer: Peer;
  readonly #protocol: Target["protocol"];
  readonly #tls: PeerTls | null;
  readonly #tlsId: string;
  /** Ready, and not ending. */
  readonly #sessions: PeerSession[] = [];
  /** Connections that will take waiting requests when they are ready. */
  readonly #connecting = new Set<PeerSession>();
  #waiting: Waiting[] = [];
  /** Connections in any state. */
  #size = 0;

  constructor(host: PeerHost, { peer, protocol, tls }: Target) {
    this.#host = host;
    this.#peer = peer;
    this.#protocol = protocol;
    this.#tls = tls;
    this.#tlsId = tls === null ? "" : peerTlsId(tls);
  }

  get isEmpty(): boolean {
    return this.#size === 0 && this.#waiting.length === 0;
  }

  get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  fits(target: Target): boolean {
    const { protocol, tls } = target;
    if (protocol !== this.#protocol) return false;
    return tls === this.#tls || (tls === null ? "" : peerTlsId(tls)) === this.#tlsId;
  }

  open(request: UpstreamRequest, target: Target, wantsNew: boolean): boolean {
    const session = wantsNew ? null : this.#freest();
    if (session !== null) {
      session.serve(request, true);
      return true;
    }
    const { clock, limits } = this.#host;
    const mayConnect = this.#mayConnect;
    if (!mayConnect && this.#waiting.length >= limits.maxWaitingPerPeer) return false;
    const connectTimeoutMs = target.connectTimeoutMs ?? limits.connectTimeoutMs;
    const deadline = mayConnect ? Infinity : clock.current + limits.queueTimeoutMs;
    this.#waiting.push({ request, wantsNew, connectTimeoutMs, deadline });
    this.#connect();
    return true;
  }

  leave(request: UpstreamRequest): void {
    const index = this.#waiting.findIndex((waiting) => waiting.request === request);
    if (index !== -1) this.#waiting.splice(index, 1);
  }

  expire(now: number): void {
    const late = this.#waiting.filter(({ deadline }) => deadline <= now);
    if (late.length === 0) return;
    this.#waiting = this.#waiting.filter(({ deadline }) => deadline > now);
    const message = `no stream to ${this.#peer.key} became free in time`;
    for (const { request } of late) request.onNoStream({ code: "queue_timeout", message });
  }

  clear(): void {
    for (const session of [...this.#sessions]) if (session.streams === 0) session.destroy();
  }

  // Called by the connections.

  onConnected(session: PeerSession): void {
    this.#give(session, true);
  }

  onReady(session: PeerSession): void {
    this.#connecting.delete(session);
    this.#sessions.push(session);
    this.#give(session, true);
    if (session.streams === 0 && this.#peer.retired) session.destroy();
    this.#connect();
  }

  /**
   * Fails the requests that waited for this connection. Only the first is told the reason, so that the peer is
   * blamed once; the others try elsewhere.
   */
  onConnectFailed(session: PeerSession, failure: PeerFailure): void {
    this.#connecting.delete(session);
    this.#size -= 1;
    const failed = this.#waiting.splice(0, requestsPerAttempt);
    for (const [at, { request }] of failed.entries()) {
      request.onNoStream(
        at === 0 ? failure : { code: "connect_overdue", message: failure.message },
      );
    }
    this.#connect();
  }

  onRoom(session: PeerSession): void {
    this.#give(session, false);
  }

  onEnding(session: PeerSession): void {
    const index = this.#sessions.indexOf(session);
    if (index !== -1) this.#sessions.splice(index, 1);
  }

  onClosed(session: PeerSession, failure: PeerFailure | null): void {
    if (failure !== null) {
      this.onConnectFailed(session, failure);
      return;
    }
    this.#size -= 1;
    this.#connect();
  }

  #freest(): PeerSession | null {
    let freest: PeerSession | null = null;
    let most = 0;
    for (const session of this.#sessions) {
      const { room } = session;
      if (room > most) {
        freest = session;
        most = room;
      }
    }
    return freest;
  }

  /** Whether connections that are under way or can be opened suffice for all waiting requests and one more. */
  get #mayConnect(): boolean {
    const { maxConnectionsPerPeer } = this.#host.limits;
    const more = maxConnectionsPerPeer === 0 ? Infinity : maxConnectionsPerPeer - this.#size;
    return this.#waiting.length < requestsPerAttempt * (this.#connecting.size + more);
  }

  #give(session: PeerSession, isNew: boolean): void {
    while (session.room > 0) {
      const index = isNew ? 0 : this.#waiting.findIndex((waiting) => !waiting.wantsNew);
      const [next] = index === -1 ? [] : this.#waiting.splice(index, 1);
      if (next === undefined) return;
      session.serve(next.request, session.hasServed && !next.wantsNew);
    }
  }

  #connect(): void {
    const { maxConnectionsPerPeer } = this.#host.limits;
    for (;;) {
      const next = this.#waiting[requestsPerAttempt * this.#connecting.size];
      if (next === undefined) return;
      if (maxConnectionsPerPeer > 0 && this.#size >= maxConnectionsPerPeer) return;
      this.#size += 1;
      this.#connecting.add(
        new PeerSession(this.#host, this.#peer, this.#tls, this, next.connectTimeoutMs),
      );
    }
  }
}
