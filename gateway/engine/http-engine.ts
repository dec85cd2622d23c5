/**
 * The engine: joins clients' wires, exchanges and peers' wires, moves the clock, and drains. What happens to a
 * request is in `exchange/`.
 */
import type { AddressInfo, ListenOptions, Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { Clock } from "./clock.ts";
import { Counters } from "./counters.ts";
import { Http2Server } from "./downstream/http2/http2.ts";
import {
  type ClientHost,
  type ClientOrigin,
  type ClientSession,
  originOf,
} from "./downstream/session.ts";
import {
  defaultLimits,
  type Engine,
  type EngineLimits,
  type EngineOptions,
  type EngineStats,
  type Inherited,
  type ListenerOptions,
  type Reopened,
} from "./engine.ts";
import type { ExchangeCore } from "./exchange/core.ts";
import { HttpExchange } from "./exchange/exchange.ts";
import type { OpenExchange } from "./exchange/ports.ts";
import { Acceptor } from "./listening/acceptor.ts";
import { Arrival, type ArrivalHost } from "./listening/arrival.ts";
import { Clients } from "./listening/clients.ts";
import { plainAddress } from "./message/forwarding.ts";
import type { Peer } from "./peer.ts";
import { type Below, RecordWatch } from "./record-watch.ts";
import type { ClientTls } from "./tls.ts";
import { PeerTlsRoom } from "./upstream/peer-tls.ts";
import type { ConnectToPeer } from "./upstream/pooled.ts";
import { Pools } from "./upstream/pools.ts";

const nothing = Buffer.alloc(0);
/** How often the engine looks at deadlines, and how coarse its clock is. */
const sweepMs = 100;
/** The engine looks for vanished clients among those that it does not read, once in so many sweeps. */
const sweepsPerProbe = 10;
/** When a sweep comes so long after the one before, this process stood still in between. */
const stallMs = 3 * sweepMs;
/** When it comes so late, somebody keeps this process busy. */
const lateMs = 1.5 * sweepMs;
/** Shortest time between two words about peers that flood. */
const quietMs = 10_000;

/** While draining, a kept connection may bring one more request within this time. */
const drainGraceMs = 1_000;

/** Serves HTTP/1.1 on a socket whose first byte is a request's. */
export type OpenClient = (socket: Socket, client: ClientOrigin) => ClientSession;

/** What speaks HTTP/1.1 on either side of an engine's exchanges. */
export interface Wires {
  readonly clients: (host: ClientHost) => OpenClient;
  readonly connect: ConnectToPeer;
}

export class HttpEngine<C> implements Engine, ClientHost, ArrivalHost {
  readonly limits: EngineLimits;
  readonly clock: Clock;
  readonly counters = new Counters();
  readonly openExchange: OpenExchange;
  isDraining = false;
  readonly #http2: Http2Server;
  readonly #openClient: OpenClient;
  readonly #trusts: (address: string) => boolean;
  readonly #listeners: readonly ListenerOptions[];
  readonly #acceptor: Acceptor;
  readonly #clients: Clients;
  readonly #records = new RecordWatch();
  readonly #onError: (error: unknown) => void;
  /** When it last told of a peer that floods. */
  #toldMs = Number.NEGATIVE_INFINITY;
  readonly #pools: Pools;
  #sweep: NodeJS.Timeout | null = null;
  #sweeps = 0;
  /**
   * Whether the last sweep skipped the deadlines. Two sweeps in a row never do, or a slow process would have no
   * deadlines.
   */
  #isExcusing = false;
  #drained: PromiseWithResolvers<number> | null = null;
  #drainGraceMs = 0;
  #drainDeadline = Number.POSITIVE_INFINITY;
  #cut = 0;

  constructor(options: EngineOptions<C>, wires: Wires) {
    const limits = { ...defaultLimits, ...options.limits };
    this.limits = limits;
    this.clock = new Clock(options.now ?? (() => performance.now()));
    this.#onError = options.onError;
    this.#trusts = options.trusts ?? (() => false);
    this.#listeners = options.listeners ?? [];
    this.#clients = new Clients(limits, this.#listeners);
    this.#pools = new Pools({
      clock: this.clock,
      limits,
      forbids: options.forbids ?? (() => null),
      tls: new PeerTlsRoom(
        options.peerMaterials ?? { authorities: () => null, pair: () => null },
        (socket, peer, below) => this.#watchPeer(socket, peer, below),
      ),
      connect: wires.connect,
      onClosed: () => this.#settleDrain(),
    });
    let lastId = 0;
    const core: ExchangeCore<C> = {
      handler: options.handler,
      limits,
      forwardedPath: options.forwardedPath ?? "normal",
      clock: this.clock,
      counters: this.counters,
      connector: this.#pools,
      onError: options.onError,
      nextId: () => {
        lastId += 1;
        return `${options.idPrefix}-${lastId.toString(36)}`;
      },
    };
    this.openExchange = (downstream, head) => new HttpExchange(core, downstream, head);
    this.#http2 = new Http2Server(this);
    this.#openClient = wires.clients(this);
    this.#acceptor = new Acceptor({
      onConnection: (socket, listener) => this.#accept(socket, listener),
      onError: options.onError,
      descriptors: options.descriptors,
      clients: () => this.#clients.size,
      peers: () => this.#pools.size,
      dropIdlePeers: () => this.#pools.dropIdle(),
    });
  }

  async listen(where: ListenOptions | Inherited | Reopened, listener = 0): Promise<AddressInfo> {
    // No sweep has moved the clock yet, and the deadlines of the first connections start from it.
    this.clock.tick();
    const address = await this.#acceptor.listen(where, listener);
    this.#sweep ??= setInterval(() => this.#onSweep(), sweepMs);
    return address;
  }

  drain(deadlineMs: number): Promise<number> {
    if (this.#drained !== null) return this.#drained.promise;
    this.#drained = Promise.withResolvers();
    this.isDraining = true;
    this.#acceptor.close();
    const now = this.clock.tick();
    this.#drainDeadline = now + deadlineMs;
    this.#drainGraceMs = Math.min(drainGraceMs, deadlineMs / 4);
    this.#clients.drain(now + this.#drainGraceMs);
    this.#settleDrain();
    return this.#drained.promise;
  }

  retire(peer: Peer): void {
    peer.retired = true;
    this.#pools.retire(peer);
  }

  stats(): EngineStats {
    const { requests, exchanges, refused, lastRefused, droppedHeaders } = this.counters;
    return {
      clientConnections: this.#clients.size,
      peerConnections: this.#pools.size,
      exchanges,
      requests,
      refused,
      lastRefused,
      droppedHeaders,
    };
  }

  get deadline(): number {
    return this.clock.current + this.limits.headTimeoutMs;
  }

  arrived(arrival: Arrival, socket: Socket, address: string, tls: ClientTls | null): void {
    const client = this.#originOf(address, arrival.listener, tls);
    const isHttp2 = tls !== null && (socket as TLSSocket).alpnProtocol === "h2";
    const session = isHttp2
      ? this.#http2.open(socket, nothing, client)
      : this.#openClient(socket, client);
    this.#replace(arrival, session);
    if (tls !== null)
      this.#records.add(arrival.below, socket, () => {
        this.counters.countRefused("tls_flood", arrival.address);
        session.destroy();
      });
  }

  beginHttp2(before: ClientSession, socket: Socket, first: Buffer, client: ClientOrigin): void {
    this.#replace(before, this.#http2.open(socket, first, client));
  }

  remove(session: ClientSession): void {
    this.#clients.remove(session);
    this.#settleDrain();
  }

  #accept(socket: Socket, listener: number): void {
    const address = socket.remoteAddress;
    // The client had gone before the connection was accepted.
    if (address === undefined) {
      socket.destroy();
      return;
    }
    const client = plainAddress(address);
    const terms = this.#listeners[listener];
    this.#clients.add(
      terms?.tls || terms?.proxied?.(client)
        ? new Arrival(this, socket, client, listener, terms)
        : this.#openClient(socket, this.#originOf(client, listener, null)),
    );
    this.#acceptor.settle(this.clock.current);
  }

  /** The connection goes on as another session, whose client may have a request on its way while the engine drains. */
  #replace(before: ClientSession, session: ClientSession): void {
    this.#clients.replace(before, session);
    if (this.isDraining) session.onDrainStart(this.clock.current + this.#drainGraceMs);
  }

  #originOf(address: string, listener: number, tls: ClientTls | null): ClientOrigin {
    return originOf(address, listener, tls, this.#trusts(address) ? this.#trusts : null);
  }

  #watchPeer(socket: TLSSocket, { key }: Peer, below: Below): void {
    this.#records.add(below, socket, () => {
      const error = new Error(`${key} floods its connection with TLS records of next to nothing`);
      socket.destroy(error);
      // A kept connection has no request that would tell of it.
      if (this.clock.current - this.#toldMs < quietMs) return;
      this.#toldMs = this.clock.current;
      this.#onError(error);
    });
  }

  #onSweep(): void {
    const before = this.clock.current;
    const now = this.clock.tick();
    this.#acceptor.settle(now);
    this.#sweeps += 1;
    const isProbe = this.#sweeps % sweepsPerProbe === 0;
    if (isProbe || now - before > lateMs) this.#records.look();
    // What came while this process stood still has not been read yet, so nobody counts as late before the next
    // sweep.
    this.#isExcusing = now - before > stallMs && !this.#isExcusing;
    if (!this.#isExcusing) {
      this.#clients.onTick(now, isProbe);
      this.#pools.onTick(now);
    }
    if (this.#drained !== null && now >= this.#drainDeadline) {
      this.#cut += this.counters.exchanges;
      this.#clients.destroyAll();
    }
  }

  /** Draining ends when the last connection on either side is closed. */
  #settleDrain(): void {
    if (this.#drained === null || this.#clients.size > 0) return;
    if (this.#pools.size > 0) {
      this.#pools.destroyAll();
      return;
    }
    if (this.#sweep !== null) clearInterval(this.#sweep);
    this.#sweep = null;
    this.#drained.resolve(this.#cut);
  }
}
