/**
 * One connection to a peer on which `node:http` writes the requests and reads the answers. The pool decides when it
 * is opened, kept and given to a request, as for the gateway's own wire.
 */
import { Agent, type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { PeerFailure } from "../engine.ts";
import type { UpstreamRequest } from "../exchange/ports.ts";
import { isOffered } from "../message/grammar.ts";
import type { Peer } from "../peer.ts";
import type { PeerTls } from "../target.ts";
import { requestText } from "../upstream/http1/request-text.ts";
import { connectTo, whyLate, whyUnusable } from "../upstream/peer-socket.ts";
import type { ConnectionOwner, PeerHost, PooledConnection } from "../upstream/pooled.ts";
import { linesOf, pairsOf } from "./field-pairs.ts";

/** Every answer begins with these bytes. */
const answerStart = "HTTP/1.";

type Stage = "connecting" | "idle" | "busy" | "tunnel" | "closed";

/** What `node:http` has read of an answer's head, interim ones too. */
type AnswerHead = Pick<
  IncomingMessage,
  "httpVersion" | "statusCode" | "statusMessage" | "rawHeaders"
>;

export class ReferencePeerConnection implements PooledConnection {
  readonly peer: Peer;
  isReused = false;
  hasAnswered = false;
  readonly #host: PeerHost;
  readonly #owner: ConnectionOwner;
  readonly #socket: Socket;
  readonly #agent: Agent;
  /** On the engine's clock, while no request uses the connection; 0: none. */
  #deadline: number;
  #request: UpstreamRequest | null = null;
  #outgoing: ClientRequest | null = null;
  #answer: IncomingMessage | null = null;
  #stage: Stage = "connecting";
  /** Whether the peer has been sent the whole request. */
  #isSent = false;
  /** The first bytes of the answer. */
  #start = "";
  /** Reports the end of an answer once the connection is free, so that the next request finds it. */
  #tellEnd: (() => void) | null = null;
  #error: Error | null = null;

  /** Begins to connect. */
  constructor(
    host: PeerHost,
    peer: Peer,
    tls: PeerTls | null,
    owner: ConnectionOwner,
    connectTimeoutMs: number,
  ) {
    this.#host = host;
    this.peer = peer;
    this.#owner = owner;
    this.#deadline = host.clock.current + connectTimeoutMs;
    host.add(this);
    const socket = connectTo(peer, host, tls, "http/1.1");
    this.#socket = socket;
    // `node:http` writes a head with `Expect` without naming an encoding; the default would be UTF-8.
    socket.setDefaultEncoding("latin1");
    this.#agent = Object.assign(new Agent({ keepAlive: true }), {
      addRequest: (request: ClientRequest) => request.onSocket(socket),
    });
    socket.on(tls === null ? "connect" : "secureConnect", () => this.#onConnect());
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    socket.on("end", () => this.#onEnd());
    socket.on("drain", () => this.#onDrain());
    socket.on("free", () => this.#onFree());
    socket.on("error", (error) => {
      this.#error = error;
    });
    socket.on("close", () => this.#onClose());
  }

  // Called by its owner.

  serve(request: UpstreamRequest, isReused: boolean): void {
    this.#request = request;
    this.isReused = isReused;
    this.hasAnswered = false;
    this.#isSent = false;
    this.#start = "";
    this.#stage = "busy";
    this.#deadline = 0;
    request.onStream(this);
  }

  rest(): void {
    this.#stage = "idle";
    this.#deadline = this.#host.clock.current + this.#host.limits.peerIdleTimeoutMs;
  }

  get isClosing(): boolean {
    return this.#socket.destroyed;
  }

  destroy(): void {
    this.#request = null;
    this.#tellEnd = null;
    this.#socket.destroy();
  }

  onTick(now: number): void {
    if (this.#deadline === 0 || now < this.#deadline) return;
    if (this.#stage === "connecting")
      this.#endConnecting(whyLate(this.#host, this.peer, this.#socket));
    this.destroy();
  }

  // Called by its request.

  send(pieces: readonly Buffer[], isWhole: boolean, trailer: string): boolean {
    const request = this.#request;
    if (request === null) return true;
    const outgoing = this.#begin(request);
    this.#outgoing = outgoing;
    let hasRoom = true;
    for (const piece of pieces) hasRoom = outgoing.write(piece);
    if (isWhole) this.sendEnd(trailer);
    // `flushHeaders` would write them as UTF-8.
    else if (pieces.length === 0) outgoing.write("", "latin1");
    return hasRoom;
  }

  sendData(piece: Buffer): boolean {
    return this.#stage === "tunnel"
      ? this.#socket.write(piece)
      : this.#outgoing?.write(piece) !== false;
  }

  sendEnd(trailer: string): void {
    this.#isSent = true;
    if (this.#stage === "tunnel") {
      this.#socket.end();
      return;
    }
    if (trailer !== "") this.#outgoing?.addTrailers(pairsOf(trailer));
    this.#outgoing?.end();
  }

  pause(): void {
    if (this.#answer !== null) this.#answer.pause();
    // `node:http` reads on after each interim answer, and can be stopped only once it has read what it has.
    else process.nextTick(() => this.#socket.pause());
  }

  resume(): void {
    if (this.#answer !== null) this.#answer.resume();
    else process.nextTick(() => this.#socket.resume());
  }

  abort(): void {
    this.destroy();
  }

  /** Makes `node:http` write the head that the gateway's own wire would write. */
  #begin(request: UpstreamRequest): ClientRequest {
    const { host, port } = this.peer;
    const outgoing = httpRequest({
      agent: this.#agent,
      host,
      port,
      method: request.head.method,
      path: request.targetText,
      setHost: false,
      maxHeaderSize: this.#host.limits.maxHeadBytes,
    });
    outgoing.maxHeadersCount = 0;
    // Lines with the same name are put together, where the first of them stood.
    const byName = new Map<string, { readonly name: string; readonly values: string[] }>();
    const text = requestText(request);
    for (const [name, value] of pairsOf(text.slice(text.indexOf("\r\n")))) {
      const field = byName.get(name.toLowerCase());
      if (field === undefined) byName.set(name.toLowerCase(), { name, values: [value] });
      else field.values.push(value);
    }
    for (const { name, values } of byName.values()) {
      outgoing.setHeader(name, values.length === 1 ? (values[0] ?? "") : values);
    }
    outgoing.useChunkedEncodingByDefault = false;
    // Otherwise `node:http` would add by itself that the connection is kept.
    if (!byName.has("connection")) outgoing.removeHeader("Connection");
    const mine =
      <T extends unknown[]>(take: (...told: T) => void) =>
      (...told: T) => {
        if (this.#request === request) take(...told);
      };
    outgoing.on(
      "drain",
      mine(() => request.onPeerDrain()),
    );
    outgoing.on(
      "information",
      mine((info: AnswerHead) => {
        if (this.#readHead(request, info)) request.onInterim();
      }),
    );
    outgoing.on(
      "response",
      mine((answer: IncomingMessage) => this.#onAnswer(request, answer)),
    );
    outgoing.on("upgrade", (answer, _socket, first) => this.#onUpgrade(request, answer, first));
    outgoing.on("error", (error) => this.#onError(error));
    return outgoing;
  }

  /** Returns false when the answer is refused. */
  #readHead(request: UpstreamRequest, answer: AnswerHead): boolean {
    const { httpVersion, statusCode, statusMessage, rawHeaders } = answer;
    const text = `HTTP/${httpVersion} ${statusCode} ${statusMessage}\r\n${linesOf(rawHeaders)}\r\n`;
    const wrong = request.answerHead.read(text, text.length, request.head.method);
    if (wrong !== "") this.#fail(wrong);
    return wrong === "";
  }

  #onAnswer(request: UpstreamRequest, answer: IncomingMessage): void {
    // The connection's close follows, and reports the same.
    answer.on("error", () => {});
    if (!this.#readHead(request, answer)) return;
    const { answerHead: head } = request;
    // A 101 without `Upgrade`, which `node:http` takes for a final answer.
    if (head.status === 101) {
      this.#fail("101 to a protocol that was not offered");
      return;
    }
    this.#answer = answer;
    if (head.framing === "none") {
      answer.on("end", () => this.#end(request, () => request.onAnswer("")));
      answer.resume();
      return;
    }
    answer.on("data", (piece: Buffer) => {
      if (this.#request === request) request.onAnswerData(piece, 0, piece.length);
    });
    answer.on("end", () => {
      if (!answer.complete) return;
      this.#end(request, () => request.onAnswerEnd(linesOf(answer.rawTrailers)));
    });
    request.onHead(false);
  }

  #onUpgrade(request: UpstreamRequest, answer: IncomingMessage, first: Buffer): void {
    if (this.#request !== request) {
      this.#socket.destroy();
      return;
    }
    if (!this.#readHead(request, answer)) return;
    if (!isOffered(request.head.upgrade, request.answerHead.upgrade)) {
      this.#fail("101 to a protocol that was not offered");
      return;
    }
    this.#stage = "tunnel";
    this.#socket.resume();
    request.onUpgrade(first);
  }

  /** The answer is complete: keeps the connection for another request if both sides allow it, or else closes it. */
  #end(request: UpstreamRequest, tell: () => void): void {
    if (this.#request !== request) return;
    const outgoing = this.#outgoing;
    const isKept =
      request.answerHead.keepAlive &&
      this.#isSent &&
      outgoing?.writableFinished === true &&
      outgoing.shouldKeepAlive;
    this.#tellEnd = () => {
      this.#tellEnd = null;
      this.#request = null;
      this.#outgoing = null;
      this.#answer = null;
      if (isKept && !this.isClosing && !this.peer.retired) this.#owner.onFree(this);
      else this.destroy();
      tell();
    };
    if (!isKept) this.#tellEnd();
  }

  /** Whether only the end of the connection ends the answer. */
  get #isEndedByClose(): boolean {
    return this.#answer !== null && this.#request?.answerHead.framing === "close";
  }

  #onConnect(): void {
    // The address turned out to be a forbidden one, and `connectTo` has destroyed the socket.
    if (this.isClosing) return;
    this.#stage = "idle";
    this.#owner.onConnected(this);
  }

  #onData(chunk: Buffer): void {
    const request = this.#request;
    if (request === null) {
      // No request asked for these bytes, so nobody can tell what they belong to.
      this.destroy();
    } else if (this.#stage === "tunnel") {
      request.onAnswerData(chunk, 0, chunk.length);
    } else {
      this.hasAnswered = true;
      if (this.#start.length === answerStart.length) return;
      // `node:http` skips line ends before a status line, and accepts other protocols' versions.
      this.#start += chunk.toString("latin1", 0, answerStart.length - this.#start.length);
      if (!answerStart.startsWith(this.#start)) this.#fail("malformed answer head");
    }
  }

  #onDrain(): void {
    if (this.#stage === "tunnel") this.#request?.onPeerDrain();
  }

  #onFree(): void {
    this.#tellEnd?.();
  }

  #onEnd(): void {
    const request = this.#request;
    if (request === null) this.#owner.onEnding(this);
    else if (this.#stage === "tunnel") request.onAnswerEnd("");
    else if (this.#answer?.complete !== true && !this.#isEndedByClose) this.#socket.destroy();
  }

  #onError(error: Error & { readonly code?: string }): void {
    // Bytes after a complete answer cost the connection, but not the answer.
    if (this.#answer?.complete === true) return;
    // `node:http` takes a reset for the end of an answer that the connection's close ends.
    this.#answer?.removeAllListeners("end");
    this.#answer = null;
    if (error.code?.startsWith("HPE_")) this.#fail(error.message);
    else this.#socket.destroy();
  }

  #onClose(): void {
    const stage = this.#stage;
    if (stage === "busy") this.#tellEnd?.();
    // A complete answer that was read still has to be reported.
    const isRead = stage === "busy" && this.#answer?.complete === true;
    const request = isRead ? null : this.#request;
    if (!isRead) this.#request = null;
    this.#host.remove(this);
    if (stage === "connecting") {
      this.#endConnecting(whyUnusable(this.#host, this.peer, this.#socket, this.#error));
      return;
    }
    if (stage === "closed") return;
    this.#stage = "closed";
    this.#owner.onClosed(this);
    const why = this.#error === null ? "closed" : this.#error.message;
    request?.onFailed({ code: "reset", message: `${this.peer.key} gave no whole answer: ${why}` });
  }

  #endConnecting(failure: PeerFailure): void {
    this.#stage = "closed";
    this.#owner.onConnectFailed(this, failure);
  }

  /** The answer must not be passed on. */
  #fail(why: string): void {
    const request = this.#request;
    this.destroy();
    request?.onFailed({ code: "bad_response", message: `${this.peer.key}: ${why}` });
  }
}
