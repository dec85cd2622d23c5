/**
 * The streams of a worker: accepts on its listeners, moves the clock of what it accepted, drains. What happens to
 * a connection is in `tcp-stream.ts`, what happens to datagrams in `datagrams.ts`.
 */
import type { AddressInfo, ListenOptions, Socket } from "node:net";
import { Clock } from "../engine/clock.ts";
import type { Descriptors, Inherited, Reopened } from "../engine/engine.ts";
import { Acceptor } from "../engine/listening/acceptor.ts";
import { addressTest } from "../engine/message/address-blocks.ts";
import { plainAddress } from "../engine/message/forwarding.ts";
import type { ListenerTerms } from "../model/index.ts";
import type { Routes, StreamObserver } from "./contract.ts";
import { ReadBuffers } from "./read-buffers.ts";
import { type StreamHost, type StreamLimits, StreamListener } from "./stream-host.ts";
import { TcpStream } from "./tcp-stream.ts";

export interface StreamEngineOptions {
  readonly routes: Routes;
  readonly observer: StreamObserver;
  readonly limits: StreamLimits;
  /** What is at this address, if no peer may be there. */
  readonly forbids: (address: string, port: number) => string | null;
  /** Asks for word about what streams wait for. */
  readonly ask: (awaited: string) => void;
  /** Accepting failed; it goes on. */
  readonly onError: (error: unknown) => void;
  /** Default: no limit is known. */
  readonly descriptors?: Descriptors;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

/** How often deadlines are looked at; also the grain of the clock. */
const sweepMs = 100;
/** A sweep that comes so long after the one before says that this process stood still. */
const stallMs = 3 * sweepMs;
/** Connections that may wait for a first watch at once. */
const waitingCapacity = 10_000;

export class StreamEngine implements StreamHost<TcpStream> {
  readonly clock: Clock;
  readonly limits: StreamLimits;
  readonly routes: Routes;
  readonly observer: StreamObserver;
  readonly buffers = new ReadBuffers();
  readonly forbids: (address: string, port: number) => string | null;
  readonly #ask: (awaited: string) => void;
  readonly #acceptor: Acceptor;
  readonly #listeners = new Map<number, StreamListener>();
  readonly #streams = new Set<TcpStream>();
  readonly #waiting = new Map<string, Set<TcpStream>>();
  #waiters = 0;
  #sweep: NodeJS.Timeout | null = null;
  #isExcusing = false;
  #drained: PromiseWithResolvers<number> | null = null;
  #drainDeadline = Number.POSITIVE_INFINITY;
  #cut = 0;

  constructor(options: StreamEngineOptions) {
    this.clock = new Clock(options.now);
    this.limits = options.limits;
    this.routes = options.routes;
    this.observer = options.observer;
    this.forbids = options.forbids;
    this.#ask = options.ask;
    this.#acceptor = new Acceptor({
      onConnection: (socket, listener) => this.#accept(socket, listener),
      onError: options.onError,
      descriptors: options.descriptors,
      clients: () => this.#streams.size,
      peers: () => this.#streams.size,
      dropIdlePeers: () => {},
    });
  }

  /** Connections of clients that are open. */
  get size(): number {
    return this.#streams.size;
  }

  /** Starts to accept there too. `id`: a small number of the caller's. Rejects with the socket's error. */
  async listen(
    where: ListenOptions | Inherited | Reopened,
    id: number,
    terms: ListenerTerms,
  ): Promise<AddressInfo> {
    if (!this.#listeners.has(id))
      this.#listeners.set(id, new StreamListener(terms, addressTest(terms.proxyProtocol)));
    this.clock.tick();
    const address = await this.#acceptor.listen(where, id);
    this.#sweep ??= setInterval(() => this.#onSweep(), sweepMs);
    return address;
  }

  /** These may be there now: connections that wait for them go on. */
  arrived(awaited: Iterable<string>): void {
    for (const key of awaited) {
      const streams = this.#waiting.get(key);
      if (streams === undefined) continue;
      this.#waiting.delete(key);
      this.#waiters -= streams.size;
      for (const stream of streams) stream.resume();
    }
  }

  /**
   * Stops accepting and resolves when the last stream is over; what still runs after `deadlineMs` is cut. Resolves to
   * how many were cut.
   */
  drain(deadlineMs: number): Promise<number> {
    if (this.#drained !== null) return this.#drained.promise;
    this.#drained = Promise.withResolvers();
    this.#acceptor.close();
    this.#drainDeadline = this.clock.tick() + deadlineMs;
    this.#settleDrain();
    return this.#drained.promise;
  }

  wait(stream: TcpStream): boolean {
    const { awaited } = stream;
    if (awaited === null || this.#waiters >= waitingCapacity) return false;
    const known = this.#waiting.get(awaited);
    this.#waiters += 1;
    if (known !== undefined) known.add(stream);
    else {
      this.#waiting.set(awaited, new Set([stream]));
      this.#ask(awaited);
    }
    return true;
  }

  remove(stream: TcpStream): void {
    if (!this.#streams.delete(stream)) return;
    stream.listener.leave(stream.address);
    const waiters = stream.awaited === null ? undefined : this.#waiting.get(stream.awaited);
    if (waiters?.delete(stream)) this.#waiters -= 1;
    if (waiters?.size === 0) this.#waiting.delete(stream.awaited ?? "");
    this.#settleDrain();
  }

  #accept(socket: Socket, id: number): void {
    const listener = this.#listeners.get(id);
    const remote = socket.remoteAddress;
    // Gone before it was accepted.
    if (remote === undefined || listener === undefined) {
      socket.destroy();
      return;
    }
    const address = plainAddress(remote);
    const stream = new TcpStream(this, socket, listener, address);
    const { maxConnections } = this.limits;
    const isFull = maxConnections > 0 && this.#streams.size >= maxConnections;
    const refusal = isFull ? "too_many_connections" : listener.admit(address);
    if (refusal !== null) {
      stream.cut(refusal);
      return;
    }
    this.#streams.add(stream);
    stream.begin();
    this.#acceptor.settle(this.clock.current);
  }

  #onSweep(): void {
    const before = this.clock.current;
    const now = this.clock.tick();
    this.#acceptor.settle(now);
    // What came while this process stood still has not been read yet: nobody is late before it is.
    this.#isExcusing = now - before > stallMs && !this.#isExcusing;
    if (!this.#isExcusing) for (const stream of this.#streams) stream.onTick(now);
    if (this.#drained === null || now < this.#drainDeadline) return;
    this.#cut += this.#streams.size;
    for (const stream of [...this.#streams]) stream.cut("drained");
  }

  #settleDrain(): void {
    if (this.#drained === null || this.#streams.size > 0) return;
    if (this.#sweep !== null) clearInterval(this.#sweep);
    this.#sweep = null;
    this.#drained.resolve(this.#cut);
  }
}
