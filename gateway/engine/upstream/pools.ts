/** The connections to all peers: where an exchange gets its streams from. */
import type { Clock } from "../clock.ts";
import type { EngineLimits } from "../engine.ts";
import type { Connector, UpstreamRequest } from "../exchange/ports.ts";
import { WriteTurn } from "../http2/write-turn.ts";
import type { Peer } from "../peer.ts";
import type { Target } from "../target.ts";
import { SessionPool } from "./http2/session-pool.ts";
import type { PeerTlsRoom } from "./peer-tls.ts";
import { Pool } from "./pool.ts";
import type { ConnectToPeer, PeerConnectionLife, PeerHost, PeerPool } from "./pooled.ts";

export interface PoolsOptions {
  readonly clock: Clock;
  readonly limits: EngineLimits;
  readonly forbids: (address: string, port: number) => string | null;
  readonly tls: PeerTlsRoom;
  readonly connect: ConnectToPeer;
  /** A connection is closed. */
  readonly onClosed: () => void;
}

export class Pools implements Connector, PeerHost {
  readonly clock: Clock;
  readonly limits: EngineLimits;
  readonly forbids: (address: string, port: number) => string | null;
  readonly tls: PeerTlsRoom;
  readonly turn: WriteTurn = new WriteTurn();
  readonly #connect: ConnectToPeer;
  readonly #onClosed: () => void;
  readonly #connections = new Set<PeerConnectionLife>();
  /** The pools that requests wait in. */
  readonly #queues = new Set<PeerPool>();

  constructor(options: PoolsOptions) {
    this.clock = options.clock;
    this.limits = options.limits;
    this.forbids = options.forbids;
    this.tls = options.tls;
    this.#connect = options.connect;
    this.#onClosed = options.onClosed;
  }

  /** Connections in any state. */
  get size(): number {
    return this.#connections.size;
  }

  open(request: UpstreamRequest, target: Target, wantsNew: boolean): boolean {
    const pool = this.#poolFor(target);
    if (!pool.open(request, target, wantsNew)) return false;
    if (pool.hasWaiting) this.#queues.add(pool);
    return true;
  }

  leave(request: UpstreamRequest, target: Target): void {
    this.#poolFor(target).leave(request);
  }

  /** Nobody uses the peer any more: closes its idle connections now, and its busy ones when they end. */
  retire(peer: Peer): void {
    for (let pool = poolsOf(peer); pool !== null; pool = pool.next) pool.clear();
  }

  /** Closes the connections that no request uses. */
  dropIdle(): void {
    for (const { peer } of this.#connections) this.retire(peer);
  }

  destroyAll(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  onTick(now: number): void {
    for (const connection of this.#connections) connection.onTick(now);
    for (const pool of this.#queues) {
      pool.expire(now);
      if (!pool.hasWaiting) this.#queues.delete(pool);
    }
  }

  add(connection: PeerConnectionLife): void {
    this.#connections.add(connection);
  }

  remove(connection: PeerConnectionLife): void {
    this.#connections.delete(connection);
    this.#onClosed();
  }

  #poolFor(target: Target): PeerPool {
    const { peer } = target;
    for (let pool = poolsOf(peer); pool !== null; pool = pool.next) {
      if (pool.fits(target)) return pool;
    }
    const pool =
      target.protocol === "http1"
        ? new Pool(this, this.#connect, target)
        : new SessionPool(this, target);
    // Most peers are reached in one way only. The pool for an earlier way goes when its last connection is closed.
    pool.next = withoutEmpty(poolsOf(peer));
    peer.slot = pool;
    return pool;
  }
}

/** Returns a peer's first pool, which its slot holds; each pool holds the next. */
function poolsOf({ slot }: Peer): PeerPool | null {
  return slot instanceof Pool || slot instanceof SessionPool ? slot : null;
}

function withoutEmpty(pool: PeerPool | null): PeerPool | null {
  if (pool === null) return null;
  const rest = withoutEmpty(pool.next);
  if (pool.isEmpty) return rest;
  pool.next = rest;
  return pool;
}
