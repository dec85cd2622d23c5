/**
 * The streams of a worker: accepts on its listeners, moves the clock of what it accepted, and drains. `tcp-stream.ts`
 * handles connections, and `datagrams.ts` handles datagrams.
 */
import type { Socket as DatagramSocket } from "node:dgram";
import type { AddressInfo, ListenOptions, Socket } from "node:net";
import { Clock } from "../engine/clock.ts";
import type { Descriptors, Inherited, Reopened } from "../engine/engine.ts";
import { Acceptor } from "../engine/listening/acceptor.ts";
import { plainAddress } from "../engine/message/forwarding.ts";
import type { ListenerTerms } from "../model/index.ts";
import type { Routes, StreamObserver } from "./contract.ts";
import { type DatagramHost, DatagramListener } from "./datagrams.ts";
import { ReadBuffers } from "./read-buffers.ts";
import { type StreamHost, type StreamLimits, StreamListener } from "./stream-host.ts";
import { TcpStream } from "./tcp-stream.ts";

export interface StreamEngineOptions {
  readonly routes: Routes;
  readonly observer: StreamObserver;
  readonly limits: StreamLimits;
  /** Names what is at this address when no peer may be there; `null` when one may. */
  readonly forbids: (address: string, port: number) => string | null;
  /** Asks the primary to watch what streams wait for. */
  readonly ask: (awaited: string) => void;
  /** Accepting failed; the engine goes on accepting. */
  readonly onError: (error: unknown) => void;
  /** Default: the engine knows no limit. */
  readonly descriptors?: Descriptors;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

/** How often the engine looks at deadlines, and how coarse its clock is. */
const sweepMs = 100;
/** When a sweep comes so long after the one before, this process stood still in between. */
const stallMs = 3 * sweepMs;
/** How many connections may wait for a first watch at once. */
const waitingCapacity = 10_000;

export class StreamEngine implements StreamHost<TcpStream>, DatagramHost {
  readonly clock: Clock;
  readonly limits: StreamLimits;
  readonly routes: Routes;
  readonly observer: StreamObserver;
  readonly buffers = new ReadBuffers();
  readonly forbids: (address: string, port: number) => string | null;
  readonly ask: (awaited: string) => void;
  readonly onError: (error: unknown) => void;
  readonly #descriptors: Descriptors | undefined;
  readonly #acceptor: Acceptor;
  readonly #listeners = new Map<number, StreamListener>();
  readonly #datagrams = new Map<number, DatagramListener>();
  readonly #streams = new Set<TcpStream>();
  /** Closed listeners, and until when their streams may run. */
  readonly #closing = new Map<StreamListener, number>();
  readonly #waiting = new Map<string, Set<TcpStream>>();
  #waiters = 0;
  /** Descriptors of listeners that the process had when it started. */
  #inherited = 0;
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
    this.ask = options.ask;
    this.onError = options.onError;
    this.#descriptors = options.descriptors;
    this.#acceptor = new Acceptor({
      onConnection: (socket, listener) => this.#accept(socket, listener),
      onError: options.onError,
      descriptors: options.descriptors,
      clients: () => this.#streams.size,
      peers: () => this.size,
      dropIdlePeers: () => {},
    });
  }

  /** Number of open connections from clients and sessions of datagrams. */
  get size(): number {
    return this.#streams.size + this.#sessions;
  }

  /** How many descriptors it uses beside those that the process had when it started. */
  get descriptors(): number {
    const handed = Math.max(0, this.#acceptor.size - this.#inherited) + this.#datagrams.size;
    // A connection has another one to its peer; a session of datagrams has only its socket to the peer.
    return 2 * this.#streams.size + this.#sessions + handed;
  }

  /**
   * Sessions of datagrams do not count as connections, and get a quarter of the descriptors: any sender may begin them
   * in others' names, and then they must not keep connections out.
   */
  hasRoom(): boolean {
    const { maxConnections } = this.limits;
    if (maxConnections > 0 && this.#sessions >= maxConnections) return false;
    if (this.#descriptors === undefined) return true;
    const { most } = this.#descriptors;
    return this.#sessions < most / 4 && this.#streams.size + this.size < most;
  }

  /**
   * Starts to accept at one more address. `id` is a small number that the caller chooses. Rejects with the socket's
   * error.
   */
  async listen(
    where: ListenOptions | Inherited | Reopened,
    id: number,
    terms: ListenerTerms,
  ): Promise<AddressInfo> {
    if (!this.#listeners.has(id)) {
      this.#listeners.set(id, new StreamListener(terms));
      this.#askFor(terms);
    }
    if ("descriptors" in where) this.#inherited += where.descriptors.length;
    this.#startSweep();
    return this.#acceptor.listen(where, id);
  }

  /** Takes what comes to a bound datagram socket. */
  receive(socket: DatagramSocket, id: number, terms: ListenerTerms): void {
    if (this.#drained !== null || this.#datagrams.has(id)) {
      socket.close();
      return;
    }
    this.#startSweep();
    this.#askFor(terms);
    this.#datagrams.set(id, new DatagramListener(this, socket, new StreamListener(terms)));
  }

  /** Sets the terms that apply from now on. */
  setTerms(id: number, terms: ListenerTerms): void {
    this.#askFor(terms);
    this.#listeners.get(id)?.setTerms(terms);
    this.#datagrams.get(id)?.listener.setTerms(terms);
  }

  /** Accepts no more there, and cuts what still runs after `deadlineMs`. */
  close(id: number, deadlineMs: number): void {
    const deadline = this.clock.tick() + deadlineMs;
    const listener = this.#listeners.get(id);
    this.#acceptor.closeListener(id);
    this.#listeners.delete(id);
    if (listener !== undefined && listener.open > 0) this.#closing.set(listener, deadline);
    this.#datagrams.get(id)?.close(deadline);
  }

  cutting(): void {
    if (this.#drained !== null) this.#cut += 1;
  }

  left(): void {
    this.#settleDrain();
  }

  /** These services and catalogs may be there now: connections that wait for them go on. */
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
   * Stops accepting, and cuts what still runs after `deadlineMs`. Resolves, once the last stream is over, to how many
   * it cut.
   */
  drain(deadlineMs: number): Promise<number> {
    if (this.#drained !== null) return this.#drained.promise;
    this.#drained = Promise.withResolvers();
    this.#acceptor.close();
    this.#drainDeadline = this.clock.tick() + deadlineMs;
    for (const datagrams of this.#datagrams.values()) datagrams.close(this.#drainDeadline);
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
      this.ask(awaited);
    }
    return true;
  }

  remove(stream: TcpStream): void {
    if (!this.#streams.delete(stream)) return;
    stream.listener.leave(stream.countsFor);
    const waiters = stream.awaited === null ? undefined : this.#waiting.get(stream.awaited);
    if (waiters?.delete(stream)) this.#waiters -= 1;
    if (waiters?.size === 0) this.#waiting.delete(stream.awaited ?? "");
    this.#settleDrain();
  }

  /** Number of sessions of datagrams. */
  get #sessions(): number {
    let count = 0;
    for (const { size } of this.#datagrams.values()) count += size;
    return count;
  }

  #accept(socket: Socket, id: number): void {
    const listener = this.#listeners.get(id);
    const remote = socket.remoteAddress;
    // The client had gone before the connection was accepted.
    if (remote === undefined || listener === undefined) {
      socket.destroy();
      return;
    }
    const address = plainAddress(remote);
    const stream = new TcpStream(this, socket, listener, address);
    const { maxConnections } = this.limits;
    const isFull = maxConnections > 0 && this.#streams.size >= maxConnections;
    const refusal = isFull ? "too_many_connections" : listener.admit(stream.countsFor);
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
    // What came while this process stood still has not been read yet, so nobody counts as late before the next sweep.
    this.#isExcusing = now - before > stallMs && !this.#isExcusing;
    if (!this.#isExcusing) for (const stream of this.#streams) stream.onTick(now);
    this.#cutClosed(now);
    for (const [id, datagrams] of this.#datagrams) {
      if (!this.#isExcusing) datagrams.onTick(now);
      if (datagrams.isOver) this.#datagrams.delete(id);
    }
    if (this.#drained === null || now < this.#drainDeadline) return;
    this.#cut += this.#streams.size;
    for (const stream of [...this.#streams]) stream.cut("drained");
  }

  /** Asks before anybody comes: otherwise a first connection would wait, and a first datagram would be lost. */
  #askFor({ upstream }: ListenerTerms): void {
    if (upstream === null) return;
    const route = this.routes.upstream(upstream);
    if ("awaited" in route) this.ask(route.awaited);
  }

  #cutClosed(now: number): void {
    for (const [listener, deadline] of this.#closing) {
      if (listener.open > 0 && now < deadline) continue;
      this.#closing.delete(listener);
      for (const stream of [...this.#streams])
        if (stream.listener === listener) stream.cut("drained");
    }
  }

  #startSweep(): void {
    // No sweep has moved the clock yet, and the first deadlines start from it.
    this.clock.tick();
    this.#sweep ??= setInterval(() => this.#onSweep(), sweepMs);
  }

  #settleDrain(): void {
    if (this.#drained === null || this.size > 0) return;
    if (this.#sweep !== null) clearInterval(this.#sweep);
    this.#sweep = null;
    this.#drained.resolve(this.#cut);
  }
}
