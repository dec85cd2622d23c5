/**
 * One client's connection that speaks HTTP/2: its streams, its deadlines and its end. The frames are
 * `engine/http2`'s affair; `stream.ts` handles what happens on a stream.
 */
import type { Socket } from "node:net";
import { type BreakCause, type ConnectionOwner, Http2Connection } from "../../http2/connection.ts";
import { errorCode } from "../../http2/frames.ts";
import type { Http2Stream } from "../../http2/stream.ts";
import type { Refusal } from "../../message/grammar.ts";
import type { ClientHost, ClientOrigin, ClientSession } from "../session.ts";
import type { Http2Server } from "./http2.ts";
import type { ClientStream } from "./stream.ts";

/** How long a connection may take to close. */
const lingerMs = 5_000;
/** How long a client has to show that it knows of the connection's end, before requests are no longer taken. */
const noticeMs = 1_000;
/** The counters' names for what ends a connection. */
const breakCodes: Readonly<Record<BreakCause, string>> = {
  protocol: "http2_protocol_error",
  empty: "http2_invalid_frames",
  reset: "http2_reset_flood",
  ping: "http2_ping_flood",
  settings: "http2_settings_flood",
  window: "http2_window_flood",
  continuation: "http2_continuation_flood",
  ignored: "http2_ignored_flood",
};

export class Http2Session implements ClientSession, ConnectionOwner {
  readonly host: ClientHost;
  readonly client: ClientOrigin;
  isAdmitted = false;
  /** On the engine's clock; 0: none. While requests are served, their exchanges keep the deadlines. */
  #deadline: number;
  readonly #server: Http2Server;
  readonly #socket: Socket;
  readonly #connection: Http2Connection;
  /** Streams that are not closed. The end of an answer may still have to go out on them. */
  readonly #streams = new Set<ClientStream>();
  #hasBegun = false;
  #requests = 0;
  /** `told`: the client knows that the connection will end. `closing`: no further requests are taken. */
  #stage: "open" | "told" | "closing" = "open";
  #isBroken = false;
  /** How much the socket has written, and by when it has to have written more; 0: nothing waits in it. */
  #written = 0;
  #writeDeadline = 0;

  /** `first`: what the client has sent so far, from its preface on; empty when nothing was read. */
  constructor(server: Http2Server, socket: Socket, first: Buffer, client: ClientOrigin) {
    const { host } = server;
    this.host = host;
    this.client = client;
    this.#server = server;
    this.#socket = socket;
    this.#deadline = host.clock.current + host.limits.headTimeoutMs;
    this.#connection = new Http2Connection(socket, this, server.optionsOf(client));
    this.#connection.start(first);
  }

  get address(): string {
    return this.client.address;
  }

  get listener(): number {
    return this.client.listener;
  }

  /** Whether the client reads the frames that flow control does not hold back. */
  get hasRoom(): boolean {
    return this.#connection.hasRoom;
  }

  /** Looks at the deadlines of the session and its streams; `now` is the engine's clock. */
  onTick(now: number): void {
    for (const stream of this.#streams) stream.onTick(now);
    if (this.#socket.writableLength > 0) this.#watchWriting(now);
    else this.#writeDeadline = 0;
    if (this.#deadline !== 0 && now >= this.#deadline) this.#onDeadline();
  }

  /** Does nothing: the session always reads this connection, and so sees at once that a client has gone. */
  probe(): void {}

  /**
   * Closes even when it is idle: the client learns which requests the gateway took, and sends the others elsewhere.
   * Those that are on their way meanwhile are served.
   */
  onDrainStart(graceEnd: number): void {
    this.#announceEnd(graceEnd);
  }

  refuse(refusal: Refusal): void {
    this.host.counters.countRefused(refusal.code, this.address);
    this.#linger();
    this.#connection.fail(errorCode.enhanceYourCalm, refusal.message);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** A stream is closed, and its exchange is over. */
  onStreamOver(stream: ClientStream): void {
    this.#streams.delete(stream);
    this.#server.giveBack(stream);
    if (this.#streams.size > 0 || this.#stage === "told") return;
    const { clock, limits } = this.host;
    this.#deadline = clock.current + (this.#stage === "closing" ? lingerMs : limits.idleTimeoutMs);
  }

  // Called by the connection.

  onRequest(stream: Http2Stream, fields: readonly string[], isEnd: boolean): void {
    if (this.#stage === "open") this.#deadline = 0;
    this.#requests += 1;
    const served = this.#server.take(this);
    this.#streams.add(served);
    served.begin(this, stream, fields, isEnd);
    const { clock, limits } = this.host;
    const { maxRequestsPerConnection } = limits;
    if (maxRequestsPerConnection > 0 && this.#requests >= maxRequestsPerConnection)
      this.#announceEnd(clock.current + noticeMs);
  }

  onSettings(): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    // Who announced the connection's end meanwhile has set another deadline.
    if (this.#stage === "open")
      this.#deadline = this.host.clock.current + this.host.limits.idleTimeoutMs;
  }

  onGoaway(_lastStream: number, code: number): void {
    if (code === errorCode.noError) this.#close();
    else this.destroy();
  }

  onPong(): void {
    if (this.#stage === "told") this.#close();
  }

  onBroken(cause: BreakCause): void {
    this.#isBroken = true;
    this.host.counters.countRefused(breakCodes[cause]);
    this.#linger();
  }

  onClose(): void {
    this.#stage = "closing";
    this.host.remove(this);
  }

  #announceEnd(noticeEnd: number): void {
    if (this.#stage !== "open") return;
    this.#stage = "told";
    this.#deadline = noticeEnd;
    this.#connection.announceEnd();
  }

  /** Takes no new request, and closes when the running ones are over. */
  #close(): void {
    if (this.#stage === "closing") return;
    this.#linger();
    if (this.#streams.size > 0) this.#deadline = 0;
    this.#connection.end();
  }

  #linger(): void {
    this.#stage = "closing";
    this.#deadline = this.host.clock.current + lingerMs;
  }

  #onDeadline(): void {
    if (this.#stage !== "closing") this.#close();
    // A slow client may take the rest of its last answers, as long as it takes anything.
    else if (this.#isBroken || this.#socket.writableLength === 0) this.destroy();
    else this.#linger();
  }

  /** A client that takes nothing of what was written would keep the connection for ever. */
  #watchWriting(now: number): void {
    const written = this.#socket.bytesWritten - this.#socket.writableLength;
    if (this.#writeDeadline === 0 || written !== this.#written) {
      this.#written = written;
      this.#writeDeadline = now + this.host.limits.bodyTimeoutMs;
    } else if (now >= this.#writeDeadline) this.destroy();
  }
}
