/**
 * One client's TCP connection from accept to record: what the client must say first, the peer with its retries, and
 * the bytes in both directions. Each side is closed when the other one closes, not before, and a side that does not
 * read slows down the other. When the gateway cuts a connection it sends a reset, so that nobody takes half a stream
 * for a whole one.
 */
import { connect, type Socket } from "node:net";
import type { Upstream } from "../balancing/index.ts";
import { isPeersFault, type Peer, type PeerFailure, type Target } from "../engine/engine.ts";
import { plainAddress } from "../engine/message/forwarding.ts";
import { connectFailure } from "../engine/upstream/connect-failure.ts";
import type { Route, StreamFailure, StreamTally } from "./contract.ts";
import { Greeting, unrecognizedName } from "./greeting.ts";
import { proxyHeader } from "./proxy-header.ts";
import type { StreamHost, StreamListener } from "./stream-host.ts";

const never = Number.POSITIVE_INFINITY;
const nothing = Buffer.alloc(0);

type State = "greeting" | "waiting" | "connecting" | "open" | "ended";

export class TcpStream {
  readonly listener: StreamListener;
  /**
   * The address that limits count it for: the client's. `null` until a sender has said whose connection it is: all of a
   * balancer's connections come from its own address.
   */
  countsFor: string | null;
  /** The service or catalog that it waits for; `null`: none. */
  awaited: string | null = null;
  tries = 0;
  readonly #host: StreamHost<TcpStream>;
  readonly #client: Socket;
  readonly #startedMs: number;
  readonly #clientEnd: { address: string; port: number };
  #proxyAddress = "";
  #state: State = "greeting";
  #greeting: Greeting | null = null;
  #name = "";
  #upstream: Upstream | null = null;
  readonly #tried: Peer[] = [];
  #target: Target | null = null;
  #peer: Socket | null = null;
  #peerError: Error | null = null;
  /** What the client said before it had a peer. */
  #first: Buffer = nothing;
  /** The client may end before there is a peer to be told. */
  #clientHasEnded = false;
  /** While the client has not taken all bytes, the peer is not read. */
  #isPeerPaused = false;
  #buffer: Buffer;
  /** How many bytes the last read put into `#buffer`. */
  #read = 0;
  #tally: StreamTally | null = null;
  #bytesIn = 0;
  #bytesOut = 0;
  #routedMs = 0;
  #connectStartedMs = 0;
  /** The current state's deadline, on the coarse clock. */
  #deadline = never;
  #activeMs: number;

  constructor(
    host: StreamHost<TcpStream>,
    socket: Socket,
    listener: StreamListener,
    address: string,
  ) {
    this.#host = host;
    this.#client = socket;
    this.listener = listener;
    this.countsFor = listener.believes(address) ? null : address;
    this.#clientEnd = { address, port: socket.remotePort ?? 0 };
    this.#startedMs = host.clock.now();
    this.#activeMs = host.clock.current;
    this.#buffer = host.buffers.shared;
    socket.on("error", (error) => this.#clientFailed(error));
    socket.on("end", () => this.#onClientEnd());
    socket.on("close", () => this.#onClose());
  }

  begin(): void {
    const { terms } = this.listener;
    const speaksProxy = this.countsFor === null;
    const asksName = terms.protocol === "tls-passthrough";
    if (!speaksProxy && !asksName) {
      this.#client.pause();
      this.#route();
      return;
    }
    this.#greeting = new Greeting(speaksProxy, asksName);
    this.#deadline = this.#host.clock.current + this.#host.limits.greetingTimeoutMs;
    this.#client.on("data", this.#onGreeting);
  }

  /** What the stream waits for may be there now. */
  resume(): void {
    this.awaited = null;
    if (this.#state === "waiting") this.#route();
  }

  onTick(now: number): void {
    if (now >= this.#deadline) this.#onDeadline();
    else if (
      this.#state === "open" &&
      now - this.#activeMs >= this.listener.terms.stream.idleTimeoutMs
    )
      this.#end("idle_timeout", "");
  }

  /** Ends the stream, whatever it is doing. */
  cut(failure: StreamFailure): void {
    this.#end(failure, "");
  }

  /** For balancing: whether this stream has tried the peer. */
  tried(peer: Peer): boolean {
    return this.#tried.includes(peer);
  }

  readonly #onGreeting = (chunk: Buffer): void => {
    this.#activeMs = this.#host.clock.current;
    const outcome = this.#greeting?.take(chunk) ?? null;
    if (outcome === null) return;
    this.#client.off("data", this.#onGreeting);
    this.#client.pause();
    if ("failure" in outcome) {
      if (outcome.alert !== null) this.#client.write(outcome.alert);
      this.#end(outcome.failure, outcome.message, outcome.alert !== null);
      return;
    }
    this.#greeting = null;
    this.#first = outcome.first;
    this.#name = outcome.name ?? "";
    if (outcome.client !== null) {
      this.#proxyAddress = this.#clientEnd.address;
      Object.assign(this.#clientEnd, outcome.client);
    }
    if (this.countsFor === null) {
      const { address } = this.#clientEnd;
      const refusal = this.listener.countFor(address);
      if (refusal !== null) {
        this.#end(refusal, "");
        return;
      }
      this.countsFor = address;
    }
    this.#route();
  };

  #route(): void {
    const { terms } = this.listener;
    const { routes } = this.#host;
    const route: Route =
      terms.upstream === null
        ? routes.host(this.#name, this.#clientEnd.address, terms)
        : routes.upstream(terms.upstream);
    if ("upstream" in route) {
      this.#toUpstream(route.upstream);
    } else if ("awaited" in route) {
      if (this.#state === "waiting") {
        this.#end("service_unknown_yet", `no word about service ${route.awaited} yet`);
        return;
      }
      this.#state = "waiting";
      this.awaited = route.awaited;
      this.#deadline = this.#host.clock.current + this.#host.limits.watchTimeoutMs;
      if (!this.#host.wait(this)) this.#end("too_many_waiting", "");
    } else {
      this.#endWithAlert("no_route", route.why);
    }
  }

  #toUpstream(upstream: Upstream): void {
    this.#routedMs = this.#host.clock.now();
    if (!this.listener.enter(upstream, this.#routedMs)) {
      this.#end("too_many_to_upstream", upstream.name);
      return;
    }
    this.#upstream = upstream;
    this.#tally = this.#host.observer.tally(this.listener.terms.name, upstream.name);
    this.#connect(upstream);
  }

  #connect(upstream: Upstream): void {
    const { clock, limits } = this.#host;
    const key = upstream.policy === "hash" ? this.#clientEnd.address : "";
    const target = this.#mayTry() ? upstream.pick(this, clock.current, key) : null;
    if (target === null || this.tries >= (target.maxTries ?? never)) {
      this.#giveUp();
      return;
    }
    this.#state = "connecting";
    this.#target = target;
    this.tries += 1;
    this.#tried.push(target.peer);
    target.peer.inFlight += 1;
    this.#connectStartedMs = clock.now();
    this.#deadline = clock.current + (target.connectTimeoutMs ?? limits.connectTimeoutMs);
    this.#peerError = null;
    this.#isPeerPaused = false;
    const { host, port } = target.peer;
    const peer = connect({
      host,
      port,
      noDelay: true,
      allowHalfOpen: true,
      onread: { buffer: () => this.#nextBuffer(), callback: this.#onPeerBytes },
    });
    this.#peer = peer;
    peer.on("connect", () => this.#onConnect(peer, target));
    peer.on("error", (error) => {
      this.#peerError = error;
    });
    peer.on("end", () => this.#client.end());
    peer.on("drain", () => this.#client.resume());
    peer.on("close", () => this.#onPeerClose(peer, target));
  }

  #mayTry(): boolean {
    const { clock, limits } = this.#host;
    if (this.tries === 0 || limits.tryTimeoutMs === 0) return true;
    return clock.now() - this.#routedMs < limits.tryTimeoutMs;
  }

  #onConnect(peer: Socket, target: Target): void {
    if (this.#peer !== peer) return;
    const { host, port, key } = target.peer;
    const forbidden = this.#host.forbids(peer.remoteAddress ?? host, port);
    if (forbidden !== null) {
      peer.destroy(new Error(`${forbidden} is at ${key}, which is never a peer`));
      return;
    }
    const now = this.#host.clock.now();
    const { stream } = this.listener.terms;
    this.#upstream?.succeeded(target.peer);
    this.#upstream?.ended(target.peer, 200, null, now - this.#connectStartedMs, now);
    this.#state = "open";
    this.#activeMs = this.#host.clock.current;
    this.#deadline =
      stream.maxDurationMs === 0 ? never : this.#host.clock.current + stream.maxDurationMs;
    this.#writeFirst(peer);
    this.#client.on("data", this.#onClientBytes);
    this.#client.resume();
    if (this.#clientHasEnded) peer.end();
  }

  #writeFirst(peer: Socket): void {
    const version = this.listener.terms.stream.sendProxyProtocol;
    const header =
      version === null
        ? nothing
        : proxyHeader(version, {
            client: this.#clientEnd,
            local: {
              address: plainAddress(this.#client.localAddress ?? ""),
              port: this.#client.localPort ?? 0,
            },
          });
    const first = this.#first;
    this.#first = nothing;
    this.#countIn(first.length);
    const bytes = header.length === 0 ? first : Buffer.concat([header, first]);
    if (bytes.length > 0) peer.write(bytes);
  }

  readonly #onClientBytes = (chunk: Buffer): void => {
    this.#activeMs = this.#host.clock.current;
    this.#countIn(chunk.length);
    const peer = this.#peer;
    if (peer?.writable && !peer.write(chunk)) this.#client.pause();
  };

  readonly #onPeerBytes = (bytes: number, buffer: Uint8Array): boolean => {
    const own = this.#buffer;
    this.#activeMs = this.#host.clock.current;
    this.#bytesOut += bytes;
    if (this.#tally !== null) this.#tally.bytesOut += bytes;
    this.#read = bytes;
    const part = own.subarray(0, bytes);
    // The shared buffer has to be copied: the next stream may read into it before this client has taken everything.
    const client = this.#client;
    client.write(buffer === this.#host.buffers.shared ? Buffer.from(part) : part, this.#onWritten);
    if (client.writableLength === 0) return true;
    this.#isPeerPaused = true;
    return false;
  };

  readonly #onWritten = (): void => {
    if (!this.#isPeerPaused || this.#client.writableLength > 0) return;
    this.#isPeerPaused = false;
    this.#activeMs = this.#host.clock.current;
    this.#peer?.resume();
  };

  #nextBuffer(): Buffer {
    // A paused peer means that the client has not taken everything yet: then those bytes are still in the buffer.
    if (!this.#isPeerPaused) this.#buffer = this.#host.buffers.next(this.#buffer, this.#read);
    return this.#buffer;
  }

  #onClientEnd(): void {
    this.#clientHasEnded = true;
    if (this.#state === "greeting")
      this.#end("greeting_timeout", "the client closed before it had said enough");
    else if (this.#state === "open") this.#peer?.end();
  }

  #clientFailed(error: Error): void {
    this.#end("client_reset", error.message);
  }

  #onPeerClose(peer: Socket, target: Target): void {
    if (this.#peer !== peer) return;
    if (this.#state === "connecting") {
      this.#tryFailed(target, connectFailure(target.peer.key, this.#peerError));
    } else if (this.#peerError !== null && !peer.readableEnded) {
      this.#end("peer_reset", this.#peerError.message);
    } else {
      // A peer that has sent everything may go. The client still reads, and nobody needs what the client sends.
      this.#client.resume();
      this.#settle();
    }
  }

  #tryFailed({ peer }: Target, failure: PeerFailure): void {
    const upstream = this.#upstream;
    const { clock, observer } = this.#host;
    this.#leavePeer();
    if (upstream === null) return;
    const now = clock.now();
    upstream.ended(peer, 0, failure, now - this.#connectStartedMs, now);
    if (isPeersFault(failure)) upstream.failed(peer, now, failure.message);
    observer.peerFailed(upstream.name, peer, failure.code, failure.message);
    if (isPeersFault(failure)) this.#connect(upstream);
    else this.#end(failure.code, failure.message);
  }

  #giveUp(): void {
    const name = this.#upstream?.name ?? "";
    if (this.tries === 0) this.#endWithAlert("no_upstream", `${name} has no peer`);
    else this.#end("connect_failed", `${name}: no peer could be reached in ${this.tries} tries`);
  }

  #onDeadline(): void {
    switch (this.#state) {
      case "greeting":
        this.#end("greeting_timeout", "");
        break;
      case "waiting":
        this.#end("service_unknown_yet", `no word about service ${this.awaited} in time`);
        break;
      case "connecting":
        if (this.#target !== null) {
          const { key } = this.#target.peer;
          this.#tryFailed(this.#target, {
            code: "connect_timeout",
            message: `connecting to ${key}`,
          });
        }
        break;
      case "open":
        this.#end("time_limit", "");
        break;
    }
  }

  #onClose(): void {
    if (this.#state === "open") this.#settle();
    else this.#end("client_reset", "");
  }

  /** The stream is over when both sides are closed. */
  #settle(): void {
    if (!this.#client.closed || !(this.#peer?.closed ?? true)) return;
    const error = this.#peerError;
    this.#end(error === null ? "" : "peer_reset", error?.message ?? "");
  }

  #endWithAlert(failure: StreamFailure, message: string): void {
    const asked = this.listener.terms.protocol === "tls-passthrough";
    if (asked) this.#client.write(unrecognizedName);
    this.#end(failure, message, asked);
  }

  #countIn(bytes: number): void {
    this.#bytesIn += bytes;
    if (this.#tally !== null) this.#tally.bytesIn += bytes;
  }

  /** The try on the current peer, or the stream itself, is over. */
  #leavePeer(): void {
    const peer = this.#peer;
    if (this.#target !== null) this.#target.peer.inFlight -= 1;
    this.#target = null;
    this.#peer = null;
    if (peer !== null && !peer.destroyed) peer.resetAndDestroy();
  }

  /** @param isPolite whether the client gets time to read what was written to it. */
  #end(failure: StreamFailure | "", message: string, isPolite = false): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    const host = this.#host;
    const upstream = this.#upstream;
    const peer = this.#target?.peer ?? null;
    this.#leavePeer();
    if (isPolite) this.#client.destroySoon();
    else if (!this.#client.destroyed) this.#client.resetAndDestroy();
    host.buffers.giveBack(this.#buffer);
    this.#buffer = host.buffers.shared;
    if (upstream !== null) this.listener.leaveUpstream(upstream, this.#routedMs);
    host.remove(this);
    host.observer.ended({
      listener: this.listener.terms.name,
      protocol: this.listener.terms.protocol,
      clientAddress: this.#clientEnd.address,
      clientPort: this.#clientEnd.port,
      proxyAddress: this.#proxyAddress,
      name: this.#name,
      upstream: upstream?.name ?? "",
      peer,
      tries: this.tries,
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      durationMs: host.clock.now() - this.#startedMs,
      failure,
      message,
    });
  }
}
