/**
 * Connections to peers, and pools of them, as the engine sees them whatever their protocol, and what they get from
 * the engine.
 */
import type { Clock } from "../clock.ts";
import type { EngineLimits, PeerFailure } from "../engine.ts";
import type { UpstreamRequest, UpstreamStream } from "../exchange/ports.ts";
import type { WriteTurn } from "../http2/write-turn.ts";
import type { Peer } from "../peer.ts";
import type { PeerTls, Target } from "../target.ts";
import type { PeerTlsRoom } from "./peer-tls.ts";

/** All connections that reach one peer in the same way, and the requests that wait for one. */
export interface PeerPool {
  /** Another pool for the same peer. */
  next: PeerPool | null;
  /** Whether it has no connection, and nobody waits for one. */
  readonly isEmpty: boolean;
  readonly hasWaiting: boolean;
  /** Whether its connections reach the peer in the way that this target says. */
  fits(target: Target): boolean;
  /** As `Connector.open`. */
  open(request: UpstreamRequest, target: Target, wantsNew: boolean): boolean;
  /** The request waits no longer. */
  leave(request: UpstreamRequest): void;
  /** Fails the requests that have waited too long. */
  expire(now: number): void;
  /** Closes the connections that no request uses. */
  clear(): void;
}

/** A connection of any protocol. */
export interface PeerConnectionLife {
  readonly peer: Peer;
  destroy(): void;
  /** Looks at its deadlines; `now` is the engine's clock. */
  onTick(now: number): void;
}

/** A connection that serves requests one after the other. */
export interface PooledConnection extends UpstreamStream, PeerConnectionLife {
  /** Whether it is closed or about to be; the owner hears of the end in a later turn. */
  readonly isClosing: boolean;
  /** The connection belongs to this request now, which sends next. */
  serve(request: UpstreamRequest, isReused: boolean): void;
  /** Keeps the connection open until there is a request for it. */
  rest(): void;
}

/** What all connections to peers share. */
export interface PeerHost {
  readonly clock: Clock;
  readonly limits: EngineLimits;
  /** What is at this address, if no peer may be there. */
  readonly forbids: (address: string, port: number) => string | null;
  readonly tls: PeerTlsRoom;
  /** Collects what connections of HTTP/2 write. */
  readonly turn: WriteTurn;
  add(connection: PeerConnectionLife): void;
  remove(connection: PeerConnectionLife): void;
}

/** The connection's owner, who is told how it fares between requests. */
export interface ConnectionOwner {
  onConnected(connection: PooledConnection): void;
  /** The connection could not be established. */
  onConnectFailed(connection: PooledConnection, failure: PeerFailure): void;
  /** No request uses the connection any more, and it may serve another. */
  onFree(connection: PooledConnection): void;
  /** The peer will close the connection, so it serves no other request. */
  onEnding(connection: PooledConnection): void;
  /** An established connection is closed. */
  onClosed(connection: PooledConnection): void;
}

/** Begins to connect. `tls` is `null` for a connection in clear. */
export type ConnectToPeer = (
  host: PeerHost,
  peer: Peer,
  tls: PeerTls | null,
  owner: ConnectionOwner,
  connectTimeoutMs: number,
) => PooledConnection;
