/**
 * The datagrams of one listener. All datagrams from one client address and port form a session. They go to one peer
 * from a socket of their own, and what comes back there goes to the client from the listener's address. A session
 * ends when nothing has passed for a while, and when its client sends to a peer that has left. Datagrams without a
 * session are dropped and counted, as UDP allows.
 */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { isIP } from "node:net";
import type { Upstream } from "../balancing/index.ts";
import { isPeersFault, type Target } from "../engine/engine.ts";
import { stopReceiving } from "../engine/listening/datagram-socket.ts";
import { plainAddress } from "../engine/message/forwarding.ts";
import { connectFailure } from "../engine/upstream/connect-failure.ts";
import type { StreamFailure, StreamTally } from "./contract.ts";
import type { StreamListener, StreamWorld } from "./stream-host.ts";

/**
 * How many datagrams of a session may wait while its peer's name is looked up, how many bytes of all sessions, and for how
 * many sessions names are looked up at once: requests wait for the same threads.
 */
const maxEarly = 16;
const maxEarlyBytes = 1_048_576;
const maxLookups = 16;
/** How much of one socket may wait to be sent, where the network takes less than comes in. */
const maxUnsentBytes = 1_048_576;
/** In a worker that ends, a session ends when nothing has passed for so long. */
const drainQuietMs = 1_000;
/** Shortest time between two requests to watch the same service. */
const askMs = 1_000;

const noAttempts = { tries: 0, tried: () => false };
/** A datagram that cannot be sent is lost, as any datagram may be. */
const ignore = (): void => {};

export interface DatagramHost extends StreamWorld {
  /** Whether there may be one more session. */
  hasRoom(): boolean;
  /** Asks the primary to watch a service or a catalog. */
  ask(awaited: string): void;
  /** A session is about to be cut, because its time to finish is over. */
  cutting(): void;
  /** A session is over. */
  left(): void;
}

export class DatagramListener {
  readonly listener: StreamListener;
  readonly #host: DatagramHost;
  readonly #socket: Socket;
  readonly #sessions = new Map<string, Session>();
  /** Bytes and sessions that wait for look-ups. */
  #earlyBytes = 0;
  #lookups = 0;
  #isClosing = false;
  #deadline = Number.POSITIVE_INFINITY;
  #askedMs = Number.NEGATIVE_INFINITY;

  constructor(host: DatagramHost, socket: Socket, listener: StreamListener) {
    this.#host = host;
    this.#socket = socket;
    this.listener = listener;
    socket.on("error", host.onError);
    socket.on("message", (bytes, from) => this.#take(bytes, from));
  }

  /** Number of open sessions. */
  get size(): number {
    return this.#sessions.size;
  }

  /** Whether it is closed and the last session has ended. */
  get isOver(): boolean {
    return this.#isClosing && this.#sessions.size === 0;
  }

  /** Takes no more datagrams. Running sessions have until `deadline`, on the coarse clock. */
  close(deadline: number): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#deadline = deadline;
    // The other processes that hold the socket read on. Replies still leave by it.
    stopReceiving(this.#socket);
    if (this.#sessions.size === 0) this.#socket.close();
  }

  onTick(now: number): void {
    const { idleTimeoutMs } = this.listener.terms.stream;
    const quietMs = this.#isClosing ? Math.min(idleTimeoutMs, drainQuietMs) : idleTimeoutMs;
    const isOver = now >= this.#deadline;
    const upstream = this.#upstream();
    for (const session of this.#sessions.values()) {
      session.look(upstream, now);
      if (now - session.activeMs >= quietMs) session.end("");
      else if (isOver) {
        this.#host.cutting();
        session.end("drained");
      }
    }
  }

  reply(bytes: Buffer, { address, port }: RemoteInfo): void {
    // A client that sends from port 0 takes no answer (RFC 768), and `send` throws when it is given this port.
    if (port === 0) return;
    if (isCongested(this.#socket)) this.drop("too_many_waiting");
    else this.#socket.send(bytes, port, address, ignore);
  }

  /** Whether a session may keep so many bytes until its peer's name is looked up; they count until `giveBack`. */
  keep(bytes: number): boolean {
    if (this.#earlyBytes + bytes > maxEarlyBytes) return false;
    this.#earlyBytes += bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#earlyBytes -= bytes;
  }

  lookupBegins(): void {
    this.#lookups += 1;
  }

  lookupEnds(): void {
    this.#lookups -= 1;
  }

  drop(failure: StreamFailure): null {
    this.#host.observer.dropped(this.listener.terms.name, failure);
    return null;
  }

  remove(key: string, address: string): void {
    if (!this.#sessions.delete(key)) return;
    this.listener.leave(address);
    if (this.#isClosing && this.#sessions.size === 0) this.#socket.close();
    this.#host.left();
  }

  #take(bytes: Buffer, from: RemoteInfo): void {
    if (this.#isClosing) return;
    const key = `${from.address} ${from.port}`;
    const known = this.#sessions.get(key);
    // Until now, its peer could still answer.
    if (known?.isLeft === true) known.end("");
    const session = known?.isLeft === false ? known : this.#open(key, from);
    session?.toPeer(bytes);
  }

  /** Where sessions would go now; `null` when that is not known. */
  #upstream(): Upstream | null {
    if (this.#sessions.size === 0) return null;
    const route = this.#host.routes.upstream(this.listener.terms.upstream ?? "");
    return "upstream" in route ? route.upstream : null;
  }

  #open(key: string, from: RemoteInfo): Session | null {
    const host = this.#host;
    const { listener } = this;
    const { upstream: wanted } = listener.terms;
    const route = host.routes.upstream(wanted ?? "");
    if ("why" in route) return this.drop("no_route");
    if ("awaited" in route) {
      const now = host.clock.current;
      if (now - this.#askedMs >= askMs) host.ask(route.awaited);
      if (now - this.#askedMs >= askMs) this.#askedMs = now;
      return this.drop("service_unknown_yet");
    }
    if (!host.hasRoom()) return this.drop("too_many_connections");
    if (this.#lookups >= maxLookups) return this.drop("too_many_waiting");
    const address = plainAddress(from.address);
    const refusal = listener.admit(address);
    if (refusal !== null) return this.drop(refusal);
    const { upstream } = route;
    const hashKey = upstream.policy === "hash" ? address : "";
    const now = host.clock.current;
    const isFull = !listener.enter(upstream, now);
    const target = isFull ? null : upstream.pick(noAttempts, now, hashKey);
    if (target === null) {
      if (!isFull) listener.leaveUpstream(upstream, now);
      listener.leave(address);
      return this.drop(isFull ? "too_many_to_upstream" : "no_upstream");
    }
    const session = new Session(host, this, key, from, upstream, target);
    this.#sessions.set(key, session);
    return session;
  }
}

class Session {
  activeMs: number;
  /** Whether its client's next datagram has to go elsewhere. */
  isLeft = false;
  readonly #host: DatagramHost;
  readonly #owner: DatagramListener;
  readonly #key: string;
  readonly #from: RemoteInfo;
  readonly #upstream: Upstream;
  readonly #target: Target;
  readonly #socket: Socket;
  readonly #tally: StreamTally;
  readonly #startedMs: number;
  /** Datagrams that wait until the socket is connected; `null` from then on. */
  #early: Buffer[] | null = [];
  #earlyBytes = 0;
  /** Whether its peer has a name and no address. */
  readonly #looksUp: boolean;
  #hasAnswer = false;
  #isOver = false;
  #bytesIn = 0;
  #bytesOut = 0;

  constructor(
    host: DatagramHost,
    owner: DatagramListener,
    key: string,
    from: RemoteInfo,
    upstream: Upstream,
    target: Target,
  ) {
    this.#host = host;
    this.#owner = owner;
    this.#key = key;
    this.#from = from;
    this.#upstream = upstream;
    this.#target = target;
    this.#startedMs = host.clock.now();
    this.activeMs = host.clock.current;
    this.#tally = host.observer.tally(owner.listener.terms.name, upstream.name);
    const { peer } = target;
    peer.inFlight += 1;
    const family = isIP(peer.host);
    this.#looksUp = family === 0;
    this.#socket = createSocket(family === 6 ? "udp6" : "udp4");
    this.#socket.on("message", (bytes) => this.#toClient(bytes));
    this.#socket.on("error", (error) => this.#failed(error));
    this.#socket.once("connect", () => this.#onConnect());
    if (this.#looksUp) owner.lookupBegins();
    this.#socket.connect(peer.port, peer.host);
  }

  /** A client that sends for ever would otherwise send to a peer for ever that has left. */
  look(upstream: Upstream | null, now: number): void {
    this.isLeft = upstream?.isLeft(this.#target.peer, now) ?? false;
  }

  toPeer(bytes: Buffer): void {
    this.activeMs = this.#host.clock.current;
    this.#bytesIn += bytes.length;
    this.#tally.bytesIn += bytes.length;
    if (this.#early === null) {
      if (isCongested(this.#socket)) this.#owner.drop("too_many_waiting");
      else this.#socket.send(bytes, ignore);
    } else if (this.#early.length < maxEarly && this.#owner.keep(bytes.length)) {
      this.#early.push(bytes);
      this.#earlyBytes += bytes.length;
    } else {
      this.#owner.drop("too_many_waiting");
    }
  }

  end(failure: StreamFailure | "", message = ""): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#socket.close();
    this.#takeEarly();
    const { peer } = this.#target;
    peer.inFlight -= 1;
    const { listener } = this.#owner;
    listener.leaveUpstream(this.#upstream, this.#startedMs);
    const address = plainAddress(this.#from.address);
    this.#owner.remove(this.#key, address);
    this.#host.observer.ended({
      listener: listener.terms.name,
      protocol: "udp",
      clientAddress: address,
      clientPort: this.#from.port,
      proxyAddress: "",
      name: "",
      upstream: this.#upstream.name,
      peer,
      tries: 1,
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      durationMs: this.#host.clock.now() - this.#startedMs,
      failure,
      message,
    });
  }

  #onConnect(): void {
    if (this.#isOver) return;
    const { host, port, key } = this.#target.peer;
    const forbidden = this.#host.forbids(this.#socket.remoteAddress().address ?? host, port);
    if (forbidden !== null) {
      this.end("connect_failed", `${forbidden} is at ${key}, which is never a peer`);
      return;
    }
    for (const bytes of this.#takeEarly()) this.#socket.send(bytes, ignore);
  }

  /** The datagrams that waited; from here on, none does. */
  #takeEarly(): readonly Buffer[] {
    const early = this.#early;
    if (early === null) return [];
    this.#early = null;
    if (this.#looksUp) this.#owner.lookupEnds();
    this.#owner.giveBack(this.#earlyBytes);
    return early;
  }

  #toClient(bytes: Buffer): void {
    this.activeMs = this.#host.clock.current;
    const { maxAmplification: most } = this.#owner.listener.terms.stream;
    if (most > 0 && this.#bytesOut + bytes.length > most * this.#bytesIn) {
      this.#owner.drop("amplification");
      return;
    }
    this.#bytesOut += bytes.length;
    this.#tally.bytesOut += bytes.length;
    this.#owner.reply(bytes, this.#from);
    if (this.#hasAnswer) return;
    this.#hasAnswer = true;
    const now = this.#host.clock.now();
    this.#upstream.succeeded(this.#target.peer);
    this.#upstream.ended(this.#target.peer, 200, null, now - this.#startedMs, now);
  }

  /**
   * Nothing listens there (ICMP, "port unreachable"), or the peer's name cannot be resolved: the next datagram goes
   * elsewhere. When this machine lacks a descriptor or a port, that is not the peer's fault.
   */
  #failed(error: Error): void {
    if (this.#isOver) return;
    const { peer } = this.#target;
    const failure = connectFailure(peer.key, error);
    const { code, message } = failure;
    const now = this.#host.clock.now();
    this.#upstream.ended(peer, 0, failure, now - this.#startedMs, now);
    if (isPeersFault(failure)) this.#upstream.failed(peer, now, failure.message);
    this.#host.observer.peerFailed(this.#upstream.name, peer, code, message);
    this.end(code, message);
  }
}

function isCongested(socket: Socket): boolean {
  return socket.getSendQueueSize() >= maxUnsentBytes;
}
