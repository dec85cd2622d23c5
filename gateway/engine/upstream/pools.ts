/** The connections to all peers: where an exchange gets its streams from. */
import type { Clock } from "../clock.ts";
import type { EngineLimits } from "../engine.ts";
import type { Connector, UpstreamRequest } from "../exchange/ports.ts";
import type { Peer } from "../peer.ts";
import type { Target } from "../target.ts";
import { Pool } from "./pool.ts";
import type { ConnectToPeer, PeerHost, PooledConnection } from "./pooled.ts";

export interface PoolsOptions {
  readonly clock: Clock;
  readonly limits: EngineLimits;
  readonly forbids: (address: string, port: number) => string | null;
  readonly connect: ConnectToPeer;
  /** A connection is closed. */
  readonly onClosed: () => void;
}

export class Pools implements Connector, PeerHost {
  readonly clock: Clock;
  readonly limits: EngineLimits;
  readonly forbids: (address: string, port: number) => string | null;
  readonly #connect: ConnectToPeer;
  readonly #onClosed: () => void;
  readonly #connections = new Set<PooledConnection>();
  /** Those that requests wait for. */
  readonly #queues = new Set<Pool>();

  constructor(options: PoolsOptions) {
    this.clock = options.clock;
    this.limits = options.limits;
    this.forbids = options.forbids;
    this.#connect = options.connect;
    this.#onClosed = options.onClosed;
  }

  /** Connections of any state. */
  get size(): number {
    return this.#connections.size;
  }

  open(request: UpstreamRequest, target: Target, wantsNew: boolean): boolean {
    const pool = this.#poolOf(target.peer);
    const kept = wantsNew ? undefined : pool.take();
    if (kept !== undefined) {
      kept.serve(request, true);
      return true;
    }
    if (target.protocol !== "http1" || target.tls !== null) {
      const message = `${target.peer.key}: the gateway does not speak ${target.protocol} to peers`;
      request.onNoStream({ code: "no_resources", message });
      return true;
    }
    if (!pool.wait(request, target, wantsNew)) return false;
    if (pool.hasWaiting) this.#queues.add(pool);
    return true;
  }

  leave(request: UpstreamRequest, target: Target): void {
    this.#poolOf(target.peer).leave(request);
  }

  /** The peer serves nobody any more: its idle connections are closed, busy ones when they end. */
  retire(peer: Peer): void {
    this.#poolOf(peer).clear();
  }

  /** Closes the connections that no request uses. */
  dropIdle(): void {
    for (const { peer } of this.#connections) this.#poolOf(peer).clear();
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

  add(connection: PooledConnection): void {
    this.#connections.add(connection);
  }

  remove(connection: PooledConnection): void {
    this.#connections.delete(connection);
    this.#onClosed();
  }

  /** Kept in the peer's slot; made when first asked for. */
  #poolOf(peer: Peer): Pool {
    if (peer.slot instanceof Pool) return peer.slot;
    const pool = new Pool(this, this.#connect, peer);
    peer.slot = pool;
    return pool;
  }
}
