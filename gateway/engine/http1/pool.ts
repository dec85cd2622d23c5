/**
 * The connections of one peer: those that wait for a request, as a stack, so that the warmest is used
 * first; and the requests that wait for a connection, in their order, when the peer has all it may have.
 */
import type { Http1Exchange } from "./exchange.ts";
import type { PeerConnection } from "./peer-connection.ts";

interface Waiting<C> {
  readonly exchange: Http1Exchange<C>;
  /** Engine clock. */
  readonly deadline: number;
}

export class Pool<C> {
  /** Connections of any state, those being established included. */
  size = 0;
  readonly #idle: PeerConnection<C>[] = [];
  readonly #waiting: Waiting<C>[] = [];

  take(): PeerConnection<C> | undefined {
    return this.#idle.pop();
  }

  /** False when the pool is full. */
  put(connection: PeerConnection<C>, limit: number): boolean {
    if (this.#idle.length >= limit) return false;
    this.#idle.push(connection);
    return true;
  }

  remove(connection: PeerConnection<C>): void {
    const index = this.#idle.lastIndexOf(connection);
    if (index !== -1) this.#idle.splice(index, 1);
  }

  /** Empties the stack and returns what was in it. */
  clear(): readonly PeerConnection<C>[] {
    return this.#idle.splice(0);
  }

  /** False when `limit` requests wait already. */
  wait(exchange: Http1Exchange<C>, deadline: number, limit: number): boolean {
    if (this.#waiting.length >= limit) return false;
    this.#waiting.push({ exchange, deadline });
    return true;
  }

  get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** The request that has waited longest, which no longer waits. */
  next(): Http1Exchange<C> | undefined {
    return this.#waiting.shift()?.exchange;
  }

  /** The exchange waits no longer. */
  leave(exchange: Http1Exchange<C>): void {
    const index = this.#waiting.findIndex((waiting) => waiting.exchange === exchange);
    if (index !== -1) this.#waiting.splice(index, 1);
  }

  /** Takes out and returns those whose time is up; they are in the order of their deadlines. */
  expire(now: number): readonly Http1Exchange<C>[] {
    const alive = this.#waiting.findIndex((waiting) => waiting.deadline > now);
    const expired = this.#waiting.splice(0, alive === -1 ? this.#waiting.length : alive);
    return expired.map((waiting) => waiting.exchange);
  }
}
