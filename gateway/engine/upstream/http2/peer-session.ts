/** One connection to a peer that speaks HTTP/2. The frames are `node:http2`'s; a request's stream is in `peer-stream.ts`. */
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
import { connectFailure } from "../connect-failure.ts";
import { connectTo } from "../peer-socket.ts";
import type { PeerConnectionLife, PeerHost } from "../pooled.ts";
import { PeerStream } from "./peer-stream.ts";

/** Streams of one connection; more requests get another one, so that a loss of it is not everybody's. */
const maxStreams = 100;
/** What a peer may send ahead of being read, on one stream. All streams together have as much as they need. */
const streamWindowBytes = 262_144;
const connectionWindowBytes = 4 * 1_048_576;
/** Megabytes of heads and frames in nghttp2's memory. */
const maxSessionMemory = 64;
/** A peer with requests that says nothing for so long is asked whether it is there, and has so long to answer. */
const silenceMs = 10_000;
const pingMs = 5_000;

/** Whose session it is: told how it fares. */
export interface SessionOwner {
  onConnected(session: PeerSession): void;
  onConnectFailed(session: PeerSession, failure: PeerFailure): void;
  /** It may take another request. */
  onRoom(session: PeerSession): void;
  /** It takes no more requests. */
  onEnding(session: PeerSession): void;
  /** An established one is closed. */
  onClosed(session: PeerSession): void;
}

export class PeerSession implements PeerConnectionLife {
  readonly peer: Peer;
  readonly limits: EngineLimits;
  readonly scheme: "http" | "https";
  /** Requests that it serves. */
  streams = 0;
  readonly #host: PeerHost;
  readonly #owner: SessionOwner;
  readonly #socket: Socket;
  /** `null` before the connection is established. */
  #session: ClientHttp2Session | null = null;
  #isConnecting = true;
  #isEnding = false;
  /** Engine clock, while it connects or no request uses it; 0: none. */
  #deadline: number;
  /** When the peer was heard last, and by when a ping has to be answered; 0: none is on its way. */
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
    const socket = connectTo(peer, host, tls, true);
    this.#socket = socket;
    socket.on(tls === null ? "connect" : "secureConnect", () => this.#onConnect());
    socket.on("error", (error) => {
      this.#error = error;
    });
    socket.on("close", () => this.#onClose());
  }

  /** How many more requests it takes now. */
  get room(): number {
    const session = this.#session;
    if (session === null || this.#isEnding || session.closed || session.destroyed) return 0;
    // Absent until the peer's settings have come.
    const allowed = session.remoteSettings.maxConcurrentStreams ?? maxStreams;
    return Math.min(allowed, maxStreams) - this.streams;
  }

  /** Whether a ping has to be answered. */
  get isAwaited(): boolean {
    return this.#pingDeadline !== 0;
  }

  /** What ended it. */
  get why(): string {
    return this.#error === null ? "closed" : this.#error.message;
  }

  /** The next thing is the request's to send. */
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

  // What its streams tell.

  /** Something came from the peer. */
  onHeard(): void {
    this.#heardAt = this.#host.clock.current;
    this.#pingDeadline = 0;
  }

  /** One of its requests is done with. */
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
    // It reached a place where no peer may be.
    if (this.#socket.destroyed) return;
    // Loaded here and not with this module: it costs a worker that never meets HTTP/2 about 1.5 MB.
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
    if (this.#isConnecting) {
      const message = `no connection to ${this.peer.key} in time`;
      this.#endConnecting({ code: "connect_timeout", message });
    }
    this.destroy();
  }

  /** Streams of a connection that is dead without a word would fail one by one, and new ones go on joining them. */
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
      this.#endConnecting(connectFailure(this.peer.key, this.#error));
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
