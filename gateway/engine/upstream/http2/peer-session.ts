/**
 * One connection to a peer that speaks HTTP/2. The frames are `engine/http2`'s affair; `peer-stream.ts` handles one
 * request's stream.
 */
import type { Socket } from "node:net";
import type { EngineLimits, PeerFailure } from "../../engine.ts";
import type { UpstreamRequest } from "../../exchange/ports.ts";
import {
  type ConnectionOptions,
  type ConnectionOwner,
  Http2Connection,
} from "../../http2/connection.ts";
import type { Http2Stream, StreamOwner } from "../../http2/stream.ts";
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
 * Before the peer has said how many streams it takes, it gets one. A burst of requests for a new connection would be
 * refused in part by a peer that takes few.
 */
const streamsBeforeSettings = 1;
/**
 * How much a peer may send on one stream before it is read. The connection's own window is as large as all its
 * streams need.
 */
const streamWindowBytes = 262_144;
const connectionWindowBytes = 4 * 1_048_576;
/** A peer that has requests and says nothing for so long is sent a ping. */
const silenceMs = 10_000;
const pingMs = 5_000;
/** How long the connection of a peer that broke the protocol may take to close. */
const lingerMs = 1_000;

const nothing = Buffer.alloc(0);

/** The session's owner, who is told how it fares. */
export interface SessionOwner {
  /** The connection is established, and takes its first request. */
  onConnected(session: PeerSession): void;
  onConnectFailed(session: PeerSession, failure: PeerFailure): void;
  /** The peer has said what it allows. */
  onReady(session: PeerSession): void;
  /** The session may take another request. */
  onRoom(session: PeerSession): void;
  /** The session takes no more requests. */
  onEnding(session: PeerSession): void;
  /** An established session is closed. `failure`: why it was never ready; `null`: it was. */
  onClosed(session: PeerSession, failure: PeerFailure | null): void;
}

export class PeerSession implements PeerConnectionLife, ConnectionOwner {
  readonly peer: Peer;
  readonly limits: EngineLimits;
  readonly scheme: "http" | "https";
  /** Requests that it serves now. */
  streams = 0;
  /** Whether it has served any. */
  hasServed = false;
  readonly #host: PeerHost;
  readonly #owner: SessionOwner;
  readonly #socket: Socket;
  readonly #connectTimeoutMs: number;
  /** `null` before the connection is established. */
  #connection: Http2Connection | null = null;
  #isConnecting = true;
  #isReady = false;
  #isLate = false;
  #isEnding = false;
  /** On the engine's clock, while the session gets ready or no request uses it; 0: none. */
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
    this.#connectTimeoutMs = connectTimeoutMs;
    this.#deadline = host.clock.current + connectTimeoutMs;
    host.add(this);
    this.scheme = tls === null ? "http" : "https";
    const socket = connectTo(peer, host, tls, "h2");
    this.#socket = socket;
    socket.on(tls === null ? "connect" : "secureConnect", () => this.#onConnect());
    socket.on("error", (error) => {
      this.#error ??= error;
    });
    // Once there is a connection, it tells its streams before it reports this.
    socket.on("close", () => {
      if (this.#connection === null) this.onClose();
    });
  }

  /** How many more requests the session takes now. Negative when the peer has changed its mind. */
  get room(): number {
    const connection = this.#connection;
    if (connection === null || this.#isEnding || this.#socket.destroyed) return 0;
    const allowed = connection.hasSettings
      ? (connection.remoteMaxStreams ?? maxStreams)
      : streamsBeforeSettings;
    return Math.min(allowed, maxStreams) - this.streams;
  }

  /** Whether the peer broke the protocol, which ended the connection. */
  get isBroken(): boolean {
    return this.#connection !== null && this.#connection.fault !== "";
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
    const connection = this.#connection;
    if (connection !== null && !connection.hasSettings) return this.#whyNotReady;
    if (this.isBroken) return `it broke HTTP/2: ${connection?.fault}`;
    return code === 0 || this.#error !== null || this.#socket.destroyed
      ? this.why
      : `error ${code} of HTTP/2`;
  }

  /** The session serves this request now, which sends next. */
  serve(request: UpstreamRequest, isReused: boolean): void {
    if (this.streams === 0) this.#heardAt = this.#host.clock.current;
    this.streams += 1;
    this.hasServed = true;
    if (this.#isReady) this.#deadline = 0;
    request.onStream(new PeerStream(this, request, isReused));
  }

  /** Opens a stream, whose head is sent next. `null`: the connection takes no more. */
  open(owner: StreamOwner): Http2Stream | null {
    return this.#connection === null || this.#isEnding ? null : this.#connection.open(owner);
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
    if (!this.#isReady) return;
    this.#deadline = this.#host.clock.current + this.limits.peerIdleTimeoutMs;
    this.#owner.onRoom(this);
  }

  // Called by the connection.

  /** Never called: no peer may open a stream. */
  onRequest(): void {}

  onSettings(): void {
    this.onHeard();
    if (this.#isReady) {
      if (this.room > 0) this.#owner.onRoom(this);
      return;
    }
    this.#isReady = true;
    this.#deadline =
      this.streams === 0 ? this.#host.clock.current + this.limits.peerIdleTimeoutMs : 0;
    this.#owner.onReady(this);
  }

  onGoaway(): void {
    this.#end();
  }

  onPong(): void {
    this.onHeard();
  }

  onBroken(): void {
    this.#end();
    // The peer may still read why, unless it does not care.
    this.#deadline = this.#host.clock.current + lingerMs;
  }

  onClose(): void {
    this.#host.remove(this);
    if (this.#isConnecting) {
      this.#endConnecting(whyUnusable(this.#host, this.peer, this.#socket, this.#error));
      return;
    }
    if (this.#connection === null) return;
    this.#end();
    this.#owner.onClosed(this, this.#isReady ? null : this.#failure);
  }

  #onConnect(): void {
    // The address turned out to be a forbidden one, and `connectTo` has destroyed the socket.
    if (this.#socket.destroyed) return;
    const connection = new Http2Connection(this.#socket, this, this.#options);
    this.#connection = connection;
    this.#isConnecting = false;
    this.#deadline = this.#host.clock.current + this.#connectTimeoutMs;
    connection.start(nothing);
    this.#owner.onConnected(this);
  }

  get #options(): ConnectionOptions {
    const { clock, limits, turn } = this.#host;
    return {
      ...{ role: "client", clock, turn, maxStreams: 0, withholds: false },
      ...{ streamWindowBytes, connectionWindowBytes },
      maxListBytes: 2 * limits.maxHeadBytes,
      maxFields: 2 * limits.maxHeaders,
      isEncrypted: this.scheme === "https",
    };
  }

  /** Why the connection, which was established, never got ready. */
  get #failure(): PeerFailure {
    const code = this.#isLate ? "connect_timeout" : "connect_failed";
    return { code, message: `${this.peer.key}: ${this.#whyNotReady}` };
  }

  get #whyNotReady(): string {
    if (this.#isLate) return "no SETTINGS frame in time, with which HTTP/2 begins";
    return this.#socket.bytesRead > 0
      ? "it does not speak HTTP/2, as the upstream's `protocol` says: its first bytes are no SETTINGS frame"
      : "it closed the connection without a byte of HTTP/2, which the upstream's `protocol` says it speaks";
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
    this.#isLate = !this.#isReady;
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
      this.#connection?.ping();
    }
  }

  #endConnecting(failure: PeerFailure): void {
    this.#isConnecting = false;
    this.#owner.onConnectFailed(this, failure);
  }
}
