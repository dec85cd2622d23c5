/**
 * One client's connection that `node:http` reads and writes. It has the exchange serve the requests one after the
 * other, although `node:http` would deliver them all at once, and refuses what is not a valid request.
 */
import { type IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import {
  type ClientHost,
  type ClientOrigin,
  type ClientSession,
  resetConnection,
} from "../downstream/session.ts";
import type { CutReason, Downstream, DownstreamEvents } from "../exchange/ports.ts";
import { refusalText } from "../message/answers.ts";
import type { Refusal } from "../message/grammar.ts";
import { RequestHead } from "../message/request-head.ts";
import type { ResponseHead } from "../message/response-head.ts";
import { oddTrailerNames } from "../message/trailer.ts";
import type { ClientTls } from "../tls.ts";
import { BytesAhead } from "./bytes-ahead.ts";
import { linesOf, pairsOf } from "./field-pairs.ts";
import { parserRefusal } from "./parser-refusal.ts";
import { RequestWatch } from "./request-watch.ts";

/** How long a refused client may go on sending before the connection is cut, so that it can read the reason. */
const lingerMs = 5_000;
/** How many requests are read ahead of their turn; beyond it, the client is not read. */
const maxAhead = 16;

interface Refused {
  readonly refusal: Refusal;
  /** Whether it is a HEAD request, which is refused without a body. */
  readonly isHead: boolean;
}

interface Arrived {
  readonly request: IncomingMessage;
  /** `null` when `node:http` gave up the socket for an upgrade. */
  readonly response: ServerResponse | null;
}

/** `flushing`: the exchange is over, and its answer has not left yet. The others are as in `downstream/http1`. */
type Stage = "idle" | "head" | "exchange" | "flushing" | "tunnel" | "closing" | "closed";

export class ReferenceSession implements ClientSession, Downstream {
  readonly address: string;
  readonly listener: number;
  readonly scheme: "http" | "https";
  readonly tls: ClientTls | null;
  readonly forwardedLine: string;
  isAdmitted = false;
  readonly #host: ClientHost;
  readonly #socket: Socket;
  /** Makes `node:http` read the socket. */
  readonly #attach: () => void;
  readonly #head = new RequestHead();
  readonly #exchange: DownstreamEvents;
  #queue: (Arrived | Refused)[] = [];
  #stage: Stage = "idle";
  #request: IncomingMessage | null = null;
  /** `null` when the answer has left. */
  #response: ServerResponse | null = null;
  #isBodyDone = true;
  /** Whether the connection outlives the current exchange. */
  #keepAlive = true;
  /** Whether the client can tell by a length or a last chunk that the answer is incomplete. */
  #isFramed = false;
  /** Why the parser gave up; then whatever comes is thrown away. */
  #broken: Refusal | null = null;
  #requests = 0;
  #deadline: number;
  #readBefore = 0;
  #unsentBefore = 0;
  readonly #ahead: BytesAhead;
  #watch: RequestWatch;
  readonly #beforeParser = (bytes: Buffer) => this.#watch.onBytes(bytes);
  readonly #afterParser = () => this.#onWatched();

  constructor(host: ClientHost, socket: Socket, attach: () => void, client: ClientOrigin) {
    this.#host = host;
    this.#socket = socket;
    this.#attach = attach;
    this.#ahead = new BytesAhead(socket);
    this.#watch = new RequestWatch(host.limits.maxHeadBytes);
    this.address = client.address;
    this.listener = client.listener;
    this.scheme = client.scheme;
    this.tls = client.tls;
    this.forwardedLine = client.forwardedLine;
    this.#head.proxy = client.proxy;
    this.#exchange = host.openExchange(this, this.#head);
    this.#deadline = host.clock.current + host.limits.idleTimeoutMs;
    socket.on("end", () => this.#onEnd());
    socket.on("drain", () => this.#exchange.onDrain());
    // `close` always follows `error`.
    socket.on("error", () => {});
    socket.on("close", () => this.#onClose());
    // Only after it is known whether the connection is refused.
    process.nextTick(() => {
      if (this.#stage === "idle") this.#read();
    });
  }

  // Called by the exchange.

  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  sendInterim(head: ResponseHead): boolean {
    const response = this.#response;
    if (this.#head.version === "1.0" || response === null) return true;
    // Only this call tells `node:http` that the client was told to go on.
    if (head.status === 100) response.writeContinue();
    else response.writeInformation(head.status, pairsOf(head.fields.toString()).flat());
    return !this.#socket.writableNeedDrain;
  }

  sendWhole(head: ResponseHead, body: string): void {
    this.#writeHead(head);
    if (body === "") this.#response?.end();
    else this.#response?.end(body, "latin1");
  }

  sendHead(head: ResponseHead): void {
    this.#writeHead(head);
    // `flushHeaders` would write them as UTF-8.
    this.#response?.write("", "latin1");
  }

  sendData(piece: Buffer): boolean {
    if (this.#stage === "tunnel") return this.#socket.write(piece);
    return this.#response?.write(piece) !== false;
  }

  sendEnd(trailer: string): void {
    if (this.#stage === "tunnel") {
      this.#socket.end();
      return;
    }
    if (trailer !== "") this.#response?.addTrailers(pairsOf(trailer));
    this.#response?.end();
  }

  sendUpgrade({ statusLine, fields, upgrade }: ResponseHead): void {
    const socket = this.#socket;
    this.#stage = "tunnel";
    this.#keepAlive = false;
    this.#response?.detachSocket(socket);
    this.#response = null;
    socket.write(
      `HTTP/1.1 ${statusLine}${fields}Connection: Upgrade\r\nUpgrade: ${upgrade}\r\n\r\n`,
      "latin1",
    );
    this.#ahead.stop();
    const first = this.#ahead.take();
    socket.on("data", (bytes: Buffer) => this.#onTunnelBytes(bytes));
    if (first.length > 0) this.#onTunnelBytes(first);
    if (socket.readableEnded) this.#exchange.onEnd("");
    else if (first.length === 0) socket.resume();
  }

  cut(reason: CutReason): void {
    if (reason === "reset") {
      this.#socket.end();
      return;
    }
    this.#stage = "closing";
    if (reason !== "truncated") {
      this.destroy();
      return;
    }
    this.#awaitProgress();
    if (this.#isFramed) this.#socket.destroySoon();
    else resetConnection(this.#socket, this.tls);
  }

  resume(): void {
    if (this.#stage === "tunnel") this.#socket.resume();
    else this.#request?.resume();
  }

  release(): void {
    if (this.#stage === "closing" || this.#stage === "closed") return;
    if (this.#stage === "tunnel") {
      this.#socket.end();
      this.#linger();
      return;
    }
    this.#stage = "flushing";
    this.#awaitProgress();
    if (this.#response === null) this.#next();
  }

  // Called by the engine.

  onTick(now: number): void {
    const { limits } = this.#host;
    if (this.#stage === "exchange" || this.#stage === "tunnel") {
      this.#exchange.onTick(now);
      return;
    }
    const read = this.#socket.bytesRead - this.#readBefore;
    if (this.#stage === "idle" && read > 0) {
      this.#stage = "head";
      this.#deadline = now + limits.headTimeoutMs;
    }
    // `node:http` counts names and values only.
    if (this.#stage === "head" && read > limits.maxHeadBytes) {
      this.refuse(headTooLarge(limits.maxHeadBytes), this.#watch.isHead);
    } else if (now >= this.#deadline) {
      this.#onDeadline();
    }
  }

  probe(): void {
    if (this.#stage !== "closed" && this.#socket.writableLength === 0) this.#socket.write("");
  }

  onDrainStart(graceEnd: number): void {
    if (this.#stage === "idle") this.#deadline = Math.min(this.#deadline, graceEnd);
  }

  refuse(refusal: Refusal, isHead = false): void {
    if (this.#stage === "closing" || this.#stage === "closed") return;
    const { counters, clock } = this.#host;
    counters.countRefused(refusal.code, this.address);
    this.#socket.end(refusalText(refusal, clock.dateLine, isHead), "latin1");
    this.#linger();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  // Called by `node:http`'s server.

  onRequest(request: IncomingMessage, response: ServerResponse): void {
    if (this.#watch.onArrival()) this.#enqueue({ request, response });
    else request.resume();
  }

  onUpgrade(request: IncomingMessage, head: Buffer): void {
    this.#watch.stop();
    this.#socket.off("data", this.#beforeParser);
    this.#socket.off("data", this.#afterParser);
    this.#ahead.begin(head);
    if (this.#watch.onArrival()) this.#enqueue({ request, response: null });
    else this.#onWatched();
  }

  onRefused(refusal: Refusal, { method }: IncomingMessage): void {
    if (this.#watch.onArrival()) this.#enqueue({ refusal, isHead: method === "HEAD" });
  }

  /** The parser, or the socket, failed. */
  onError(error: Error & { readonly code?: string }): void {
    const refusal = this.#watch.refusal ?? parserRefusal(error);
    if (refusal === null) {
      this.destroy();
      return;
    }
    if (this.#broken !== null) return;
    this.#broken = refusal;
    const last = this.#queue.at(-1);
    if (last === undefined && this.#isReadingBody) this.#breakBody();
    else if (last === undefined || "refusal" in last || last.request.complete) {
      this.#enqueue({ refusal, isHead: this.#watch.isHead });
    }
  }

  /** Makes `node:http` read the socket, and checks the bytes before it does. */
  #read(): void {
    this.#attach();
    this.#watch = new RequestWatch(this.#host.limits.maxHeadBytes);
    this.#socket.prependListener("data", this.#beforeParser);
    this.#socket.on("data", this.#afterParser);
    this.#socket.resume();
  }

  /** All requests before a refused one have arrived, so the refusal can take its place after them. */
  #onWatched(): void {
    const { refusal, isHead } = this.#watch;
    if (refusal === null || this.#broken !== null) return;
    this.#broken = refusal;
    this.#enqueue({ refusal, isHead });
  }

  #enqueue(entry: Arrived | Refused): void {
    if (this.#stage === "closing" || this.#stage === "closed") {
      // A request that nobody reads would block the rest, and with it the client's close.
      if (!("refusal" in entry)) entry.request.resume();
      return;
    }
    this.#queue.push(entry);
    if (this.#stage === "idle" || this.#stage === "head") this.#advance();
    else if (this.#queue.length > maxAhead) this.#socket.pause();
  }

  #advance(): void {
    const entry = this.#queue.shift();
    if (entry === undefined) {
      this.#stage = "idle";
      this.#readBefore = this.#socket.bytesRead;
      this.#deadline = this.#host.clock.current + this.#host.limits.idleTimeoutMs;
      return;
    }
    if (this.#queue.length === 0) this.#socket.resume();
    if ("refusal" in entry) this.refuse(entry.refusal, entry.isHead);
    else this.#start(entry);
  }

  #start({ request, response: given }: Arrived): void {
    const { limits, counters } = this.#host;
    const head = this.#head;
    const refusal = this.#readHead(request);
    counters.droppedHeaders += head.oddNames;
    if (refusal !== null) {
      request.resume();
      this.refuse(refusal, request.method === "HEAD");
      return;
    }
    this.#stage = "exchange";
    this.#requests += 1;
    this.#keepAlive =
      head.keepAlive &&
      (limits.maxRequestsPerConnection === 0 || this.#requests < limits.maxRequestsPerConnection);
    this.#isBodyDone = !head.hasBody;
    this.#request = request;
    const response = given ?? this.#upgradeResponse(request);
    this.#response = response;
    // When the client has gone, the connection's own `close` counts.
    response.on("error", () => {});
    request.on("error", () => {});
    if (given !== null) given.on("close", () => this.#onResponseOver(given));
    this.#exchange.begin(null);
    if (!head.hasBody) {
      request.resume();
      return;
    }
    const isServed = () => this.#request === request && this.#stage === "exchange";
    request.on("data", (piece: Buffer) => {
      if (isServed() && !this.#exchange.onData(piece, 0, piece.length)) request.pause();
    });
    request.on("end", () => {
      if (!isServed() || !request.complete) return;
      this.#isBodyDone = true;
      const lines = linesOf(request.rawTrailers);
      counters.droppedHeaders += oddTrailerNames(lines, limits);
      this.#exchange.onEnd(lines);
    });
    if (this.#broken !== null && this.#queue.length === 0 && this.#isReadingBody) {
      this.#breakBody();
    }
  }

  /** Whether more of the current request has to come from the socket. */
  get #isReadingBody(): boolean {
    return this.#stage === "exchange" && !this.#isBodyDone && this.#request?.complete === false;
  }

  #readHead(request: IncomingMessage): Refusal | null {
    const { limits } = this.#host;
    const text = headText(request);
    const refusal = this.#head.read(text, text.length, limits);
    if (refusal?.code === "target_too_long" || text.length <= limits.maxHeadBytes) return refusal;
    return headTooLarge(limits.maxHeadBytes);
  }

  #breakBody(): void {
    this.#host.counters.countRefused("bad_chunk");
    this.#isBodyDone = true;
    this.#keepAlive = false;
    this.#exchange.onBroken(400, "bad_chunk", "the request body is malformed");
  }

  /** Makes the answer to a request whose socket `node:http` has let go of. */
  #upgradeResponse(request: IncomingMessage): ServerResponse {
    const response = new ServerResponse(request);
    response.assignSocket(this.#socket);
    response.on("finish", () => {
      response.detachSocket(this.#socket);
      if (this.#keepAlive) {
        // The answer is no upgrade: `node:http` reads on from where it stopped.
        this.#ahead.giveBack();
        this.#read();
      } else {
        this.#socket.end();
      }
      this.#onResponseOver(response);
    });
    return response;
  }

  #writeHead(head: ResponseHead): void {
    const response = this.#response;
    if (response === null) return;
    if (!this.#isBodyDone || this.#host.isDraining) this.#keepAlive = false;
    const isOld = this.#head.version === "1.0";
    if (head.isStreamed && isOld) this.#keepAlive = false;
    this.#isFramed = !head.isStreamed || !isOld;
    const raw = pairsOf(head.fields.toString())
      .filter(([name]) => (head.isStreamed && !isOld) || name.toLowerCase() !== "trailer")
      .flat();
    if (!head.isStreamed && head.contentLength !== -1 && head.status !== 204) {
      raw.push("Content-Length", String(head.contentLength));
    }
    if (!this.#keepAlive) raw.push("Connection", "close");
    // After an expectation without a 100, `node:http` closes unless it is told not to.
    else if (isOld || this.#head.expectsContinue) raw.push("Connection", "keep-alive");
    // Otherwise `node:http` would add by itself that the connection is kept.
    else response.removeHeader("Connection");
    const reason = head.statusLine.slice(4, -2);
    response.writeHead(head.status, reason, raw);
  }

  #onResponseOver(response: ServerResponse): void {
    if (this.#response !== response) return;
    this.#response = null;
    if (this.#stage === "flushing") this.#next();
  }

  /** The exchange is over, and its answer has left. */
  #next(): void {
    this.#request?.resume();
    if (this.#keepAlive && this.#isBodyDone) this.#advance();
    else this.#linger();
  }

  #onTunnelBytes(bytes: Buffer): void {
    if (this.#stage !== "tunnel") return;
    if (!this.#exchange.onData(bytes, 0, bytes.length)) this.#socket.pause();
  }

  #onDeadline(): void {
    if (this.#socket.writableLength < this.#unsentBefore) {
      this.#awaitProgress();
    } else if (this.#stage === "idle") {
      this.#socket.end();
      this.#linger();
    } else if (this.#stage === "head") {
      const { headTimeoutMs } = this.#host.limits;
      const message = `no whole request head within ${headTimeoutMs} ms`;
      this.refuse({ status: 408, code: "head_timeout", message }, this.#watch.isHead);
    } else {
      this.destroy();
    }
  }

  #awaitProgress(): void {
    this.#unsentBefore = this.#socket.writableLength;
    this.#deadline = this.#host.clock.current + this.#host.limits.bodyTimeoutMs;
  }

  #linger(): void {
    this.#stage = "closing";
    this.#queue = [];
    this.#unsentBefore = 0;
    this.#deadline = this.#host.clock.current + lingerMs;
    this.#request?.resume();
    this.#socket.resume();
  }

  #onEnd(): void {
    if (this.#stage === "tunnel") {
      this.#exchange.onEnd("");
    } else if (this.#stage !== "exchange") {
      if (this.#ahead.isKeeping || this.#stage === "closing") this.#socket.end();
    } else if (this.#host.limits.servesHalfClosed && this.#isBodyDone) {
      this.#keepAlive = false;
    } else {
      this.destroy();
    }
  }

  #onClose(): void {
    this.#stage = "closed";
    this.#queue = [];
    this.#response = null;
    this.#exchange.onGone();
    this.#host.remove(this);
  }
}

/** Writes the head that `node:http` has read back into text. */
export function headText({ method, url, httpVersion, rawHeaders }: IncomingMessage): string {
  return `${method} ${url} HTTP/${httpVersion}\r\n${linesOf(rawHeaders)}\r\n`;
}

function headTooLarge(maxHeadBytes: number): Refusal {
  const message = `the request head is longer than ${maxHeadBytes} bytes`;
  return { status: 431, code: "head_too_large", message };
}
