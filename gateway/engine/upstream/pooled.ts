/** Connections to peers and pools of them as the engine sees them, whatever they are made of, and what they find in it. */
import type { Clock } from "../clock.ts";
import type { EngineLimits, PeerFailure } from "../engine.ts";
import type { UpstreamRequest, UpstreamStream } from "../exchange/ports.ts";
import type { Peer } from "../peer.ts";
import type { PeerTls, Target } from "../target.ts";
import type { PeerTlsRoom } from "./peer-tls.ts";

/** All connections to one peer that are made in one way, and the requests that wait for one. */
export interface PeerPool {
  /** Another of the same peer. */
  next: PeerPool | null;
  /** Whether it has no connection, and nobody waits for one. */
  readonly isEmpty: boolean;
  readonly hasWaiting: boolean;
  /** Whether the peer is reached as this target says. */
  fits(target: Target): boolean;
  /** As `Connector.open`. */
  open(request: UpstreamRequest, target: Target, wantsNew: boolean): boolean;
  /** The request waits no longer. */
  leave(request: UpstreamRequest): void;
  /** Tells those whose time is up. */
  expire(now: number): void;
  /** Closes what no request uses. */
  clear(): void;
}

/** A connection of any kind. */
export interface PeerConnectionLife {
  readonly peer: Peer;
  destroy(): void;
  /** Looks at its deadlines; `now` is the engine's clock. */
  onTick(now: number): void;
}

/** Serves requests, one after the other. */
export interface PooledConnection extends UpstreamStream, PeerConnectionLife {
  /** Whether it is closed, or about to be: its end is told in a later turn. */
  readonly isClosing: boolean;
  /** The next thing is the request's to send. */
  serve(request: UpstreamRequest, isReused: boolean): void;
  /** Kept until there is a request for it. */
  rest(): void;
}

/** What all connections to peers share. */
export interface PeerHost {
  readonly clock: Clock;
  readonly limits: EngineLimits;
  /** What is at this address, if no peer may be there. */
  readonly forbids: (address: string, port: number) => string | null;
  readonly tls: PeerTlsRoom;
  add(connection: PeerConnectionLife): void;
  remove(connection: PeerConnectionLife): void;
}

/** Whose connection it is: told how it fares between requests. */
export interface ConnectionOwner {
  onConnected(connection: PooledConnection): void;
  /** It could not be established. */
  onConnectFailed(connection: PooledConnection, failure: PeerFailure): void;
  /** No request uses it any more, and it may serve another. */
  onFree(connection: PooledConnection): void;
  /** The peer will close it: it serves no other request. */
  onEnding(connection: PooledConnection): void;
  /** An established one is closed. */
  onClosed(connection: PooledConnection): void;
}

/** Begins to connect. `tls`: `null` for a connection in clear. */
export type ConnectToPeer = (
  host: PeerHost,
  peer: Peer,
  tls: PeerTls | null,
  owner: ConnectionOwner,
  connectTimeoutMs: number,
) => PooledConnection;
