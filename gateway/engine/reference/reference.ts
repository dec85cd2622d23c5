/**
 * The reference engine itself: listens, knows its connections, sweeps their deadlines, drains. Sockets
 * are accepted here and given to a `node:http` server, so that both engines accept alike.
 */
import { createServer as createHttpServer, type Server as HttpServer } from "node:http";
import type { AddressInfo, ListenOptions, Socket } from "node:net";
import {
  defaultLimits,
  type Engine,
  type EngineLimits,
  type EngineOptions,
  type EngineStats,
  type ForwardedPath,
  type Handler,
  type Inherited,
  type Reopened,
} from "../engine.ts";
import { Acceptor } from "../listening/acceptor.ts";
import { plainAddress } from "../message/forwarding.ts";
import { connectRefusal } from "../message/request-line.ts";
import type { Peer } from "../peer.ts";
import { connectTo } from "../upstream/peer-socket.ts";
import { ClientSession } from "./client-session.ts";
import { Forwarder } from "./forwarder.ts";
import { PeerPool, type Waiter } from "./peer-pool.ts";
import { asksForUpgrade, expectationRefusal } from "./request-plan.ts";

const sweepMs = 100;
/** While draining, a kept connection may bring one more request within this time. */
const maxDrainGraceMs = 1_000;

export class ReferenceEngine<C> implements Engine {
  readonly handler: Handler<C>;
  readonly limits: EngineLimits;
  readonly forwardedPath: ForwardedPath;
  readonly onError: (error: unknown) => void;
  readonly forbids: (address: string, port: number) => string | null;
  readonly now: () => number;
  readonly forwarder: Forwarder;
  /** Coarse time for deadlines, in ms. */
  clock: number;
  isDraining = false;
  /** Engine clock. */
  drainGraceEnd = 0;
  readonly #idPrefix: string;
  readonly #trusts: (address: string) => boolean;
  readonly #acceptor: Acceptor;
  readonly #http: HttpServer;
  readonly #sessions = new Map<object, ClientSession<C>>();
  readonly #sockets = new Map<ClientSession<C>, Socket>();
  readonly #peerSockets = new Map<Socket, PeerPool>();
  readonly #pools = new WeakMap<Peer, PeerPool>();
  readonly #queues = new Set<PeerPool>();
  readonly #refused = new Map<string, number>();
  #droppedHeaders = 0;
  #requests = 0;
  #exchanges = 0;
  #lastId = 0;
  #lastSerial = 0;
  #sweep: NodeJS.Timeout | null = null;
  #drained: PromiseWithResolvers<number> | null = null;
  #drainDeadline = Number.POSITIVE_INFINITY;
  #cut = 0;

  constructor(options: EngineOptions<C>) {
    this.handler = options.handler;
    this.limits = { ...defaultLimits, ...options.limits };
    this.forwardedPath = options.forwardedPath ?? "normal";
    this.onError = options.onError;
    this.forbids = options.forbids ?? (() => null);
    this.now = options.now ?? (() => performance.now());
    this.clock = this.now();
    this.forwarder = new Forwarder(this.limits);
    this.#idPrefix = options.idPrefix;
    this.#trusts = options.trusts ?? (() => false);
    this.#http = this.#createHttpServer();
    this.#acceptor = new Acceptor({
      onConnection: (socket, listener) => this.#accept(socket, listener),
      onError: this.onError,
      descriptors: options.descriptors,
      clients: () => this.#sessions.size,
      peers: () => this.#peerSockets.size,
      dropIdlePeers: () => {
        for (const pool of new Set(this.#peerSockets.values())) pool.closeIdle();
      },
    });
  }

  async listen(where: ListenOptions | Inherited | Reopened, listener = 0): Promise<AddressInfo> {
    // The sweep has not moved it yet, and the first connections' deadlines begin with it.
    this.clock = this.now();
    const address = await this.#acceptor.listen(where, listener);
    this.#sweep ??= setInterval(() => this.#onSweep(), sweepMs);
    return address;
  }

  drain(deadlineMs: number): Promise<number> {
    if (this.#drained !== null) return this.#drained.promise;
    this.#drained = Promise.withResolvers();
    this.isDraining = true;
    this.#acceptor.close();
    this.clock = this.now();
    this.#drainDeadline = this.clock + deadlineMs;
    this.drainGraceEnd = this.clock + Math.min(maxDrainGraceMs, deadlineMs / 4);
    for (const session of this.#sessions.values()) session.onDrainStart(this.drainGraceEnd);
    this.#settleDrain();
    return this.#drained.promise;
  }

  retire(peer: Peer): void {
    peer.retired = true;
    this.#pools.get(peer)?.closeIdle();
  }

  stats(): EngineStats {
    return {
      clientConnections: this.#sessions.size,
      peerConnections: this.#peerSockets.size,
      exchanges: this.#exchanges,
      requests: this.#requests,
      refused: Object.fromEntries(this.#refused),
      droppedHeaders: this.#droppedHeaders,
    };
  }

  // What sessions and exchanges ask.

  nextId(): string {
    this.#lastId += 1;
    return `${this.#idPrefix}-${this.#lastId.toString(36)}`;
  }

  nextSerial(): number {
    this.#lastSerial += 1;
    return this.#lastSerial;
  }

  countRefused(code: string): void {
    this.#refused.set(code, (this.#refused.get(code) ?? 0) + 1);
  }

  /** Lines that were left out because of their names. */
  countDropped(lines: number): void {
    this.#droppedHeaders += lines;
  }

  addExchange(): void {
    this.#requests += 1;
    this.#exchanges += 1;
  }

  removeExchange(): void {
    this.#exchanges -= 1;
  }

  poolOf(peer: Peer): PeerPool {
    let pool = this.#pools.get(peer);
    if (pool === undefined) {
      const made = new PeerPool(peer, this.limits, () => this.#connect(peer, made));
      pool = made;
      this.#pools.set(peer, pool);
    }
    return pool;
  }

  enter(pool: PeerPool, waiter: Waiter, hasLeft: boolean): "ready" | "waiting" | "full" {
    const turn = pool.enter(waiter, this.clock, hasLeft);
    if (turn === "waiting") this.#queues.add(pool);
    return turn;
  }

  /** Has `node:http` read requests from the socket. */
  attach(socket: Socket): void {
    this.#http.emit("connection", socket);
  }

  removeSession(session: ClientSession<C>): void {
    const socket = this.#sockets.get(session);
    this.#sockets.delete(session);
    if (socket !== undefined) this.#sessions.delete(socket);
    if (this.#drained !== null) this.#settleDrain();
  }

  #createHttpServer(): HttpServer {
    const http = createHttpServer({
      maxHeaderSize: this.limits.maxHeadBytes,
      // The contract's own limits and deadlines are kept here: their answers and counters are its own.
      requireHostHeader: false,
      keepAliveTimeout: 0,
      headersTimeout: 0,
      requestTimeout: 0,
      shouldUpgradeCallback: asksForUpgrade,
    });
    http.maxHeadersCount = 0;
    Object.assign(http, { httpAllowHalfOpen: this.limits.servesHalfClosed });
    const find = (socket: object) => this.#sessions.get(socket);
    http.on("request", (request, response) => find(request.socket)?.onRequest(request, response));
    // Whether to continue is the origin's to say.
    http.on("checkContinue", (request, response) =>
      find(request.socket)?.onRequest(request, response),
    );
    http.on("checkExpectation", (request) => {
      request.resume();
      find(request.socket)?.onRefused(expectationRefusal, request);
    });
    http.on("upgrade", (request, socket, head) => find(socket)?.onUpgrade(request, head));
    http.on("connect", (request, socket) => find(socket)?.onRefused(connectRefusal, request));
    http.on("clientError", (error: NodeJS.ErrnoException, socket) => find(socket)?.onError(error));
    return http;
  }

  #accept(socket: Socket, listener: number): void {
    const address = socket.remoteAddress;
    // Gone before it was accepted.
    if (address === undefined) {
      socket.destroy();
      return;
    }
    const trusts = this.#trusts(address) ? this.#trusts : null;
    const session = new ClientSession(this, socket, plainAddress(address), trusts, listener);
    this.#sessions.set(socket, session);
    this.#sockets.set(session, socket);
    const { maxConnections, maxConnectionsPerAddress } = this.limits;
    if (maxConnections > 0 && this.#countOf(null) > maxConnections) {
      const message = "the gateway has all the connections it may have";
      session.refuse({ status: 503, code: "too_many_connections", message });
    } else if (
      maxConnectionsPerAddress > 0 &&
      this.#countOf(session.address) > maxConnectionsPerAddress
    ) {
      const message = "too many connections from this address";
      session.refuse({ status: 503, code: "too_many_from_address", message });
    } else {
      this.attach(socket);
      session.watch();
    }
    this.#acceptor.settle(this.clock);
  }

  /** Connections that were not turned away; those of one address unless it is `null`. */
  #countOf(address: string | null): number {
    let count = 0;
    for (const session of this.#sessions.values()) {
      if (session.isAdmitted && (address === null || session.address === address)) count += 1;
    }
    return count;
  }

  #connect(peer: Peer, pool: PeerPool): Socket {
    const socket = connectTo(peer, this.forbids);
    this.#peerSockets.set(socket, pool);
    socket.on("close", () => {
      this.#peerSockets.delete(socket);
      if (this.#drained !== null) this.#settleDrain();
    });
    return socket;
  }

  #onSweep(): void {
    const now = this.now();
    this.clock = now;
    this.#acceptor.settle(now);
    for (const session of this.#sessions.values()) session.onSweep(now);
    for (const pool of this.#queues) {
      pool.expire(now);
      if (!pool.hasWaiting) this.#queues.delete(pool);
    }
    if (this.#drained !== null && now >= this.#drainDeadline) {
      this.#cut += this.#exchanges;
      for (const session of this.#sessions.values()) session.destroy();
    }
  }

  #settleDrain(): void {
    if (this.#sessions.size > 0) return;
    if (this.#peerSockets.size > 0) {
      for (const socket of this.#peerSockets.keys()) socket.destroy();
      return;
    }
    if (this.#sweep !== null) clearInterval(this.#sweep);
    this.#sweep = null;
    this.#drained?.resolve(this.#cut);
  }
}
