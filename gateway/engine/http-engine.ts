/**
 * The engine itself: listens, knows its connections, sweeps their deadlines, drains. What happens on a
 * connection is in `client-connection.ts` and `peer-connection.ts`; between the two stands `exchange.ts`.
 */
import type { AddressInfo, ListenOptions, Socket } from "node:net";
import { ClientConnection } from "./downstream/http1/client-connection.ts";
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
} from "./engine.ts";
import { Acceptor } from "./listening/acceptor.ts";
import { plainAddress } from "./message/forwarding.ts";
import type { Refusal } from "./message/grammar.ts";
import type { Peer } from "./peer.ts";
import type { PeerConnection } from "./upstream/http1/peer-connection.ts";
import { type Pool, poolOf } from "./upstream/pool.ts";

/** How often deadlines are looked at; also the grain of `clock`. */
const sweepMs = 100;
/** In how many sweeps clients that are not read are looked after once. */
const sweepsPerProbe = 10;
/** While draining, a kept connection may bring one more request within this time. */
const drainGraceMs = 1_000;

export class Http1Engine<C> implements Engine {
  readonly handler: Handler<C>;
  readonly limits: EngineLimits;
  readonly forwardedPath: ForwardedPath;
  readonly onError: (error: unknown) => void;
  readonly forbids: (address: string, port: number) => string | null;
  readonly now: () => number;
  /** Coarse time for deadlines, in ms: moved by the sweep, so that setting one costs nothing. */
  clock: number;
  /** The `Date` line of the gateway's own answers (RFC 9110 section 6.6.1). */
  dateLine: string;
  isDraining = false;
  requests = 0;
  exchanges = 0;
  droppedHeaders = 0;
  readonly #idPrefix: string;
  readonly #trusts: (address: string) => boolean;
  readonly #acceptor: Acceptor;
  readonly #clients = new Set<ClientConnection<C>>();
  readonly #peerConnections = new Set<PeerConnection<C>>();
  readonly #refused = new Map<string, number>();
  /** Client connections that were not turned away. */
  #admitted = 0;
  /** The same by address; kept only when there is a limit on them. */
  readonly #addresses = new Map<string, number>();
  /** Pools that requests wait for. */
  readonly #queues = new Set<Pool<C>>();
  #sweep: NodeJS.Timeout | null = null;
  #sweeps = 0;
  #lastId = 0;
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
    this.dateLine = dateLine();
    this.#idPrefix = options.idPrefix;
    this.#trusts = options.trusts ?? (() => false);
    this.#acceptor = new Acceptor({
      onConnection: (socket, listener) => this.#accept(socket, listener),
      onError: this.onError,
      descriptors: options.descriptors,
      clients: () => this.#clients.size,
      peers: () => this.#peerConnections.size,
      dropIdlePeers: () => {
        for (const { peer } of this.#peerConnections) poolOf<C>(this, peer).clear();
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
    const grace = Math.min(drainGraceMs, deadlineMs / 4);
    for (const client of this.#clients) client.onDrainStart(this.clock + grace);
    this.#settleDrain();
    return this.#drained.promise;
  }

  retire(peer: Peer): void {
    peer.retired = true;
    poolOf(this, peer).clear();
  }

  stats(): EngineStats {
    return {
      clientConnections: this.#clients.size,
      peerConnections: this.#peerConnections.size,
      exchanges: this.exchanges,
      requests: this.requests,
      refused: Object.fromEntries(this.#refused),
      droppedHeaders: this.droppedHeaders,
    };
  }

  nextId(): string {
    this.#lastId += 1;
    return `${this.#idPrefix}-${this.#lastId.toString(36)}`;
  }

  countRefused(code: string): void {
    this.#refused.set(code, (this.#refused.get(code) ?? 0) + 1);
  }

  addPeerConnection(connection: PeerConnection<C>): void {
    this.#peerConnections.add(connection);
  }

  removePeerConnection(connection: PeerConnection<C>): void {
    this.#peerConnections.delete(connection);
    if (this.#drained !== null) this.#settleDrain();
  }

  removeClient(client: ClientConnection<C>): void {
    this.#clients.delete(client);
    if (client.isAdmitted) {
      this.#admitted -= 1;
      if (this.limits.maxConnectionsPerAddress > 0) this.#count(client.address, -1);
    }
    if (this.#drained !== null) this.#settleDrain();
  }

  /** Requests wait for this pool's connections. */
  watchQueue(pool: Pool<C>): void {
    this.#queues.add(pool);
  }

  #accept(socket: Socket, listener: number): void {
    const address = socket.remoteAddress;
    // Gone before it was accepted.
    if (address === undefined) {
      socket.destroy();
      return;
    }
    const trusts = this.#trusts(address) ? this.#trusts : null;
    const client = new ClientConnection(this, socket, plainAddress(address), trusts, listener);
    this.#clients.add(client);
    this.#admit(client);
    this.#acceptor.settle(this.clock);
  }

  /** Refuses a connection beyond the limits, with an answer. */
  #admit(client: ClientConnection<C>): void {
    const { maxConnections, maxConnectionsPerAddress } = this.limits;
    if (maxConnections > 0 && this.#admitted >= maxConnections) {
      client.refuse(
        busy("too_many_connections", "the gateway has all the connections it may have"),
      );
      return;
    }
    if (maxConnectionsPerAddress > 0) {
      if ((this.#addresses.get(client.address) ?? 0) >= maxConnectionsPerAddress) {
        client.refuse(busy("too_many_from_address", "too many connections from this address"));
        return;
      }
      this.#count(client.address, 1);
    }
    client.isAdmitted = true;
    this.#admitted += 1;
  }

  #count(address: string, step: 1 | -1): void {
    const count = (this.#addresses.get(address) ?? 0) + step;
    if (count === 0) this.#addresses.delete(address);
    else this.#addresses.set(address, count);
  }

  #onSweep(): void {
    const now = this.now();
    this.clock = now;
    this.dateLine = dateLine();
    this.#acceptor.settle(now);
    this.#sweeps += 1;
    const isProbe = this.#sweeps % sweepsPerProbe === 0;
    for (const client of this.#clients) {
      if (client.deadline !== 0 && now >= client.deadline) client.onDeadline();
      if (isProbe) client.probe();
    }
    for (const connection of this.#peerConnections) {
      if (connection.deadline !== 0 && now >= connection.deadline) connection.onDeadline();
    }
    for (const pool of this.#queues) {
      pool.expire(now);
      if (!pool.hasWaiting) this.#queues.delete(pool);
    }
    if (this.#drained !== null && now >= this.#drainDeadline) {
      this.#cut += this.exchanges;
      for (const client of this.#clients) client.destroy();
    }
  }

  #settleDrain(): void {
    if (this.#clients.size > 0) return;
    if (this.#peerConnections.size > 0) {
      for (const connection of this.#peerConnections) connection.destroy();
      return;
    }
    if (this.#sweep !== null) clearInterval(this.#sweep);
    this.#sweep = null;
    this.#drained?.resolve(this.#cut);
  }
}

function busy(code: string, message: string): Refusal {
  return { status: 503, code, message };
}

function dateLine(): string {
  return `Date: ${new Date().toUTCString()}\r\n`;
}
