/**
 * The connections of one peer: an agent of `node:http` that keeps idle ones, and the queue of requests
 * that wait until there may be another.
 */
import { Agent } from "node:http";
import type { Socket } from "node:net";
import type { EngineLimits } from "../engine.ts";
import type { Peer } from "../peer.ts";

/** A request that waits for its turn. */
export interface Waiter {
  onTurn(): void;
  onQueueTimeout(): void;
}

export class PeerPool {
  readonly agent: Agent;
  readonly #limits: EngineLimits;
  readonly #idle = new WeakSet<object>();
  #busy = 0;
  #waiting: { readonly waiter: Waiter; readonly deadline: number }[] = [];

  constructor(peer: Peer, limits: EngineLimits, connect: () => Socket) {
    this.#limits = limits;
    const agent = new Agent({
      keepAlive: true,
      scheduling: "lifo",
      maxFreeSockets: Math.max(1, limits.maxIdlePerPeer),
      timeout: limits.peerIdleTimeoutMs,
    });
    const keep = agent.keepSocketAlive.bind(agent);
    const reuse = agent.reuseSocket.bind(agent);
    agent.createConnection = () => {
      const socket = connect();
      // A head with `Expect` is written without naming an encoding, which then would be UTF-8.
      socket.setDefaultEncoding("latin1");
      // Bytes that no request asked for: nobody can tell what they belong to.
      socket.on("data", () => {
        if (this.#idle.has(socket)) socket.destroy();
      });
      return socket;
    };
    agent.keepSocketAlive = (socket) => {
      if (peer.retired || limits.maxIdlePerPeer === 0) return false;
      this.#idle.add(socket);
      return keep(socket);
    };
    agent.reuseSocket = (socket, request) => {
      this.#idle.delete(socket);
      reuse(socket, request);
    };
    this.agent = agent;
  }

  /**
   * `full`: as many as may wait already; one that has just left its turn may wait all the same, since there
   * is a turn more. A waiter is told of its turn, which it then has.
   */
  enter(waiter: Waiter, now: number, hasLeft: boolean): "ready" | "waiting" | "full" {
    const { maxConnectionsPerPeer, maxWaitingPerPeer, queueTimeoutMs } = this.#limits;
    if (maxConnectionsPerPeer === 0 || this.#busy < maxConnectionsPerPeer) {
      this.#busy += 1;
      return "ready";
    }
    if (!hasLeft && this.#waiting.length >= maxWaitingPerPeer) return "full";
    this.#waiting.push({ waiter, deadline: now + queueTimeoutMs });
    return "waiting";
  }

  /** A turn is over: the next may begin. */
  leave(): void {
    // The agent has the connection back in a later turn only.
    setImmediate(() => {
      const next = this.#waiting.shift();
      if (next === undefined) this.#busy -= 1;
      else next.waiter.onTurn();
    });
  }

  /** Waits no longer. */
  giveUp(waiter: Waiter): void {
    this.#waiting = this.#waiting.filter((entry) => entry.waiter !== waiter);
  }

  get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  expire(now: number): void {
    const late = this.#waiting.filter((entry) => now >= entry.deadline);
    if (late.length === 0) return;
    this.#waiting = this.#waiting.filter((entry) => now < entry.deadline);
    for (const { waiter } of late) waiter.onQueueTimeout();
  }

  closeIdle(): void {
    for (const sockets of Object.values(this.agent.freeSockets)) {
      for (const socket of [...(sockets ?? [])]) socket.destroy();
    }
  }
}
