/**
 * One connection to a peer that speaks HTTP/2. `node:http2` handles the frames; `peer-stream.ts` handles one
 * request's stream.
 */
import type {
  ClientHttp2Session,
  ClientHttp2Stream,
  ClientSessionRequestOptions,
} from "node:http2";
import type { Socket } from "node:net";
import type { EngineLimits, PeerFailure } from "../../engine.ts";
import type { UpstreamRequest } from "../../exchange/ports.ts";
import type { Peer } from "../../peer.ts";
import type { PeerTls } from "../../target.ts";
import { connectTo, whyLate, whyUnusable } from "../peer-socket.ts";
import type { PeerConnectionLife, PeerHost } from "../pooled.ts";
import { PeerStream } from "./peer-stream.ts";

/**
 * Streams on one connection. Further requests get another connection, so that losing one does not fail them all.
 */
const maxStreams = 100;
/**
 * How much a peer may send on one stream before it is read. The connection's own window is as large as all its
 * streams need.
 */
const streamWindowBytes = 262_144;
const connectionWindowBytes = 4 * 1_048_576;
/** Megabytes of memory that nghttp2 may use for heads and frames. */
const maxSessionMemory = 64;
/** A peer that has requests and says nothing for so long is sent a ping. */
const silenceMs = 10_000;
const pingMs = 5_000;

/** The session's owner, who is told how it fares. */
export interface SessionOwner {
  onConnected(session: PeerSession): void;
  onConnectFailed(session: PeerSession, failure: PeerFailure): void;
  /** The session may take another request. */
  onRoom(session: PeerSession): void;
  /** The session takes no more requests. */
  onEnding(session: PeerSession): void;
  /** An established session is closed. */
  onClosed(session: PeerSession): void;
}

export class PeerSession implements PeerConnectionLife {
  readonly peer: Peer;
  readonly limits: EngineLimits;
  readonly scheme: "http" | "https";
  /** Requests that it serves now. */
  streams = 0;
  readonly #host: PeerHost;
  readonly #owner: SessionOwner;
  readonly #socket: Socket;
  /** `null` before the connection is established. */
  #session: ClientHttp2Session | null = null;
  #isConnecting = true;
  #isEnding = false;
  /** Whether the peer has sent its settings, with which HTTP/2 begins (RFC 9113 section 3.4). */
  #hasSpoken = false;
  /** On the engine's clock, while the session connects or no request uses it; 0: none. */
  #deadline: number;
  /** When the peer was last heard, and by when it has to answer a ping; 0: no ping is under way. */
  #heardAt = 0;
  #pingDeadline = 0;
  #error: Error | null = null;

  /** Begins to connect. */
  constructor(
    host: PeerHost,
    peer: Peer,
    tls: PeerTls | null,
    owner: SessionOwner,
    connectTimeoutMs: number,
  ) {
    this.#host = host;
    this.peer = peer;
    this.limits = host.limits;
    this.#owner = owner;
    this.#deadline = host.clock.current + connectTimeoutMs;
    host.add(this);
    this.scheme = tls === null ? "http" : "https";
    const socket = connectTo(peer, host, tls, "h2");
    this.#socket = socket;
    socket.on(tls === null ? "connect" : "secureConnect", () => this.#onConnect());
    socket.on("error", (error) => {
      this.#error = error;
    });
    socket.on("close", () => this.#onClose());
  }

  /** How many more requests the session takes now. */
  get room(): number {
    const session = this.#session;
    if (session === null || this.#isEnding || session.closed || session.destroyed) return 0;
    // Unknown until the peer's settings have come.
    const allowed = session.remoteSettings.maxConcurrentStreams ?? maxStreams;
    return Math.min(allowed, maxStreams) - this.streams;
  }

  /** Whether the peer has to answer a ping. */
  get isAwaited(): boolean {
    return this.#pingDeadline !== 0;
  }

  /** What ended the session. */
  get why(): string {
    return this.#error === null ? "closed" : this.#error.message;
  }

  /** Why the stream of a request ended without an answer. `code`: the stream's error, 0 when it has none. */
  whyEnded(code: number): string {
    if (!this.#hasSpoken) {
      return this.#socket.bytesRead > 0
        ? "it does not speak HTTP/2, as the upstream's `protocol` says: its first bytes are no SETTINGS frame"
        : "it closed the connection without a byte of HTTP/2, which the upstream's `protocol` says it speaks";
    }
    return code === 0 ? this.why : `error ${code} of HTTP/2`;
  }

  /** The session serves this request now, which sends next. */
  serve(request: UpstreamRequest, isReused: boolean): void {
    if (this.streams === 0) this.#heardAt = this.#host.clock.current;
    this.streams += 1;
    this.#deadline = 0;
    request.onStream(new PeerStream(this, request, isReused));
  }

  /** Sends the head of a request. `null`: the connection takes no more. */
  open(fields: string[], options: ClientSessionRequestOptions): ClientHttp2Stream | null {
    const session = this.#session;
    if (session === null || session.closed || session.destroyed) return null;
    return session.request(fields, options);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  onTick(now: number): void {
    if (this.#deadline !== 0 && now >= this.#deadline) this.#onDeadline();
    else if (this.streams > 0) this.#listenTo(now);
  }

  // Called by its streams.

  /** Something came from the peer. */
  onHeard(): void {
    this.#heardAt = this.#host.clock.current;
    this.#pingDeadline = 0;
  }

  /** One of its requests is over. */
  onStreamOver(): void {
    this.streams -= 1;
    if (this.streams > 0) {
      if (this.room > 0) this.#owner.onRoom(this);
      return;
    }
    this.#pingDeadline = 0;
    if (this.#isEnding || this.peer.retired) {
      this.destroy();
      return;
    }
    this.#deadline = this.#host.clock.current + this.limits.peerIdleTimeoutMs;
    this.#owner.onRoom(this);
  }

  #onConnect(): void {
    // The address turned out to be a forbidden one, and `connectTo` has destroyed the socket.
    if (this.#socket.destroyed) return;
    // Loaded here and not with this module, because it costs a worker about 1.5 MB even when it never meets HTTP/2.
    const { connect } = process.getBuiltinModule("node:http2");
    const maxFields = 2 * this.limits.maxHeaders;
    const session = connect(`${this.scheme}://${this.peer.key}`, {
      createConnection: () => this.#socket,
      settings: {
        enablePush: false,
        initialWindowSize: streamWindowBytes,
        maxHeaderListSize: 2 * this.limits.maxHeadBytes,
      },
      maxHeaderListPairs: maxFields,
      maxSendHeaderBlockLength: 2 * this.limits.maxHeadBytes,
      maxSessionMemory,
    });
    session.on("error", (error) => {
      this.#error ??= error;
    });
    session.once("remoteSettings", () => {
      this.#hasSpoken = true;
    });
    session.on("goaway", () => this.#end());
    session.on("close", () => this.#socket.destroy());
    session.setLocalWindowSize(connectionWindowBytes);
    this.#session = session;
    this.#isConnecting = false;
    this.#deadline = this.#host.clock.current + this.limits.peerIdleTimeoutMs;
    this.#owner.onConnected(this);
  }

  /** The peer takes no more requests on it. */
  #end(): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#owner.onEnding(this);
    if (this.streams === 0) this.destroy();
  }

  #onDeadline(): void {
    if (this.#isConnecting) this.#endConnecting(whyLate(this.#host, this.peer, this.#socket));
    this.destroy();
  }

  /**
   * Pings a silent peer. Without this, streams on a connection that died silently would time out one by one while
   * new ones kept joining them.
   */
  #listenTo(now: number): void {
    if (this.#pingDeadline !== 0) {
      if (now < this.#pingDeadline) return;
      this.#error = new Error(`it did not answer a ping within ${pingMs} ms`);
      this.destroy();
    } else if (now - this.#heardAt >= silenceMs) {
      this.#pingDeadline = now + pingMs;
      this.#session?.ping((error) => {
        if (error === null) this.onHeard();
      });
    }
  }

  #onClose(): void {
    this.#host.remove(this);
    if (this.#isConnecting) {
      this.#endConnecting(whyUnusable(this.#host, this.peer, this.#socket, this.#error));
      return;
    }
    if (this.#session === null) return;
    this.#session.destroy();
    this.#end();
    this.#owner.onClosed(this);
  }

  #endConnecting(failure: PeerFailure): void {
    this.#isConnecting = false;
    this.#owner.onConnectFailed(this, failure);
  }
}
