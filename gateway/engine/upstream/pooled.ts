/** A connection to a peer as a pool sees it, whatever it is made of, and what it finds in the engine that opened it. */
import type { Clock } from "../clock.ts";
import type { EngineLimits, PeerFailure } from "../engine.ts";
import type { UpstreamRequest, UpstreamStream } from "../exchange/ports.ts";
import type { Peer } from "../peer.ts";

/** Serves requests, one after the other. */
export interface PooledConnection extends UpstreamStream {
  readonly peer: Peer;
  /** Whether it is closed, or about to be: its end is told in a later turn. */
  readonly isClosing: boolean;
  /** The next thing is the request's to send. */
  serve(request: UpstreamRequest, isReused: boolean): void;
  /** Kept until there is a request for it. */
  rest(): void;
  destroy(): void;
  /** Looks at its deadlines; `now` is the engine's clock. */
  onTick(now: number): void;
}

/** What all connections to peers share. */
export interface PeerHost {
  readonly clock: Clock;
  readonly limits: EngineLimits;
  /** What is at this address, if no peer may be there. */
  readonly forbids: (address: string, port: number) => string | null;
  add(connection: PooledConnection): void;
  remove(connection: PooledConnection): void;
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

/** Begins to connect. */
export type ConnectToPeer = (
  host: PeerHost,
  peer: Peer,
  owner: ConnectionOwner,
  connectTimeoutMs: number,
) => PooledConnection;
