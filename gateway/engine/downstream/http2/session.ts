/**
 * One client's connection that speaks HTTP/2: its streams, its bounds on frames that bring no answer, and its end.
 * `node:http2` handles the frames; `stream.ts` handles what happens on a stream.
 */
import type { ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import type { Refusal } from "../../message/grammar.ts";
import type { ClientHost, ClientOrigin, ClientSession } from "../session.ts";
import { endStreamFlag, enhanceYourCalm } from "./codes.ts";
import { type FloodKind, Floods } from "./floods.ts";
import type { Http2Server } from "./http2.ts";
import { sessionOptions } from "./session-options.ts";
import type { ClientStream } from "./stream.ts";

/**
 * How much a client may send on all streams of a connection before it is read. One stream has the protocol's 65535
 * bytes.
 */
const connectionWindowBytes = 524_288;
/** How long a connection may take to close. */
const lingerMs = 5_000;
/** How many frames without flow control may wait for a client that does not read. */
const maxQueuedFrames = 200;

export class Http2Session implements ClientSession {
  readonly host: ClientHost;
  readonly client: ClientOrigin;
  isAdmitted = false;
  /** On the engine's clock; 0: none. While requests are served, their exchanges keep the deadlines. */
  #deadline: number;
  readonly #server: Http2Server;
  readonly #socket: Socket;
  readonly #session: ServerHttp2Session;
  /** Streams that are not closed. The end of an answer may still have to go out on them. */
  readonly #streams = new Set<ClientStream>();
  readonly #floods = new Floods();
  #requests = 0;
  #isClosing = false;

  /** `first`: what the client has sent so far, from its preface on; empty when nothing was read. */
  constructor(server: Http2Server, socket: Socket, first: Buffer, client: ClientOrigin) {
    const { host } = server;
    this.host = host;
    this.client = client;
    this.#server = server;
    this.#socket = socket;
    this.#deadline = host.clock.current + host.limits.headTimeoutMs;
    socket.pause();
    if (first.length > 0) socket.unshift(first);
    // A client that closes its side counts as gone: it could not even acknowledge what it gets.
    socket.on("end", () => this.destroy());
    // Loaded here and not with this module, because it costs about 1.5 MB, which a worker without HTTP/2 saves.
    const { performServerHandshake } = process.getBuiltinModule("node:http2");
    this.#session = performServerHandshake(socket, sessionOptions(host.limits));
    this.#session.setLocalWindowSize(connectionWindowBytes);
    this.#listen();
    // By then the session has read the bytes that were put back; the socket only has to report its end.
    process.nextTick(() => socket.resume());
  }

  get address(): string {
    return this.client.address;
  }

  get listener(): number {
    return this.client.listener;
  }

  /** Whether the client reads the frames that flow control does not hold back. */
  get hasRoom(): boolean {
    return (this.#session.state.outboundQueueSize ?? 0) < maxQueuedFrames;
  }

  /** Looks at the deadlines of the session and its streams; `now` is the engine's clock. */
  onTick(now: number): void {
    for (const stream of this.#streams) stream.onTick(now);
    if (this.#deadline !== 0 && now >= this.#deadline) this.#onDeadline();
  }

  /** Does nothing: the session always reads this connection, and so sees at once that a client has gone. */
  probe(): void {}

  /**
   * Closes even when it is idle: the client learns which requests the gateway took, and sends the others elsewhere.
   */
  onDrainStart(): void {
    this.#close();
  }

  refuse(refusal: Refusal): void {
    this.#cutOff(refusal.code, refusal.message);
  }

  /**
   * Destroys the socket, and with it the session. The session alone would wait for a client that neither reads nor
   * closes.
   */
  destroy(): void {
    this.#socket.destroy();
  }

  /** A stream is closed, and its exchange is over. */
  onStreamOver(stream: ClientStream): void {
    this.#streams.delete(stream);
    this.#server.giveBack(stream);
    if (this.#streams.size > 0) return;
    const { clock, limits } = this.host;
    this.#deadline = clock.current + (this.#isClosing ? lingerMs : limits.idleTimeoutMs);
  }

  /** A stream was closed before its request was answered. */
  onReset(): void {
    this.#count("reset");
  }

  #listen(): void {
    const session = this.#session;
    session.on("stream", (stream, _fields, flags, raw) => this.#onStream(stream, flags, raw));
    session.on("ping", () => this.#count("ping"));
    session.on("remoteSettings", () => this.#onSettings());
    session.on("error", (error) => this.#onError(error));
    session.on("close", () => this.#onClose());
  }

  /**
   * Takes no new request, and closes when the running ones are over. The client is told which of its requests the
   * gateway took (RFC 9113 section 6.8), so it may send the later ones elsewhere.
   */
  #close(): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    if (this.#streams.size === 0) this.#deadline = this.host.clock.current + lingerMs;
    this.#session.close();
  }

  #onStream(stream: ServerHttp2Stream, flags: number, raw: readonly string[]): void {
    // `close` reports its errors. Without a listener, `error` would end the process, even after the stream is over.
    stream.on("error", () => {});
    if (stream.destroyed) {
      this.onReset();
      return;
    }
    this.#deadline = 0;
    this.#requests += 1;
    const served = this.#server.take(this);
    this.#streams.add(served);
    served.begin(this, stream, raw, (flags & endStreamFlag) !== 0);
    const { maxRequestsPerConnection } = this.host.limits;
    if (maxRequestsPerConnection > 0 && this.#requests >= maxRequestsPerConnection) this.#close();
  }

  #onSettings(): void {
    const isFirst = this.#requests === 0 && this.#streams.size === 0 && !this.#isClosing;
    if (isFirst) this.#deadline = this.host.clock.current + this.host.limits.idleTimeoutMs;
    this.#count("settings");
  }

  #count(kind: FloodKind): void {
    if (this.#session.destroyed || !this.#floods.count(kind, this.host.clock.now())) return;
    this.#cutOff(`http2_${kind}_flood`, `too many frames of a kind: ${kind}`);
  }

  /** Ends the connection at once, and tells the client that it asks for too much. */
  #cutOff(code: string, message: string): void {
    this.host.counters.countRefused(code);
    this.#isClosing = true;
    this.#deadline = this.host.clock.current + lingerMs;
    this.#session.destroy(new Error(message), enhanceYourCalm);
  }

  #onDeadline(): void {
    if (this.#isClosing) this.destroy();
    else this.#close();
  }

  #onError(error: Error & { readonly code?: string }): void {
    const refused = refusalOf(error);
    if (refused !== null) this.host.counters.countRefused(refused);
  }

  #onClose(): void {
    this.#isClosing = true;
    for (const stream of this.#streams) stream.onClose();
    this.host.remove(this);
  }
}

/** What the client did that nghttp2 does not allow; `null` when the connection just broke. */
function refusalOf(error: Error & { readonly code?: string }): string | null {
  switch (error.code) {
    case "ERR_HTTP2_ERROR":
      return "http2_protocol_error";
    case "ERR_HTTP2_TOO_MANY_INVALID_FRAMES":
      return "http2_invalid_frames";
    default:
      return null;
  }
}
