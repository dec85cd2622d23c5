/**
 * The library at work: sends a request to a peer through http-proxy-3 and tells what became of it. One
 * `Try` is one call of the library's; whether there is another is not decided here.
 */
import type { ClientRequest, IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import { createProxyServer, type ProxyServer } from "http-proxy-3";
import type { EngineLimits, PeerFailure } from "../engine.ts";
import type { Peer } from "../peer.ts";
import { connectFailure } from "../upstream/connect-failure.ts";
import type { PeerPool } from "./peer-pool.ts";

/** What the first bytes of every answer are. */
const answerStart = "HTTP/1.";

/** What is sent, complete: the library and `node:http` are to add nothing of their own. */
export interface Outgoing {
  readonly target: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** `null`: no body and no framing header. */
  readonly framing: readonly [name: string, value: string] | null;
  readonly body: Readable;
}

export interface TryEvents {
  /** The head is written: the body may follow. */
  onHead(): void;
  /** The connection is there; the request goes out. */
  onConnected(): void;
  /** The whole request was handed to the connection. */
  onSent(): void;
  onInformational(status: number, rawHeaders: string[]): void;
  onResponse(response: IncomingMessage): void;
  /** The peer switched protocols. `socket` is then the exchange's. */
  onSwitched(response: IncomingMessage, socket: Socket, first: Buffer): void;
  /** Before an answer's head. */
  onFailed(failure: PeerFailure): void;
  /** After an answer's head. */
  onCut(code: "truncated" | "bad_response_body"): void;
}

export class Forwarder {
  readonly #proxy: ProxyServer;
  readonly #tries = new WeakMap<IncomingMessage, Try>();
  readonly #limits: EngineLimits;

  constructor(limits: EngineLimits) {
    this.#limits = limits;
    this.#proxy = createProxyServer({ toProxy: true, selfHandleResponse: true });
    this.#proxy.on("proxyReq", (outgoing, request, _response, _options, socket) => {
      this.#tries.get(request)?.onSocket(outgoing, socket);
    });
    this.#proxy.on("proxyRes", (answer, request) => {
      this.#tries.get(request)?.onResponse(answer);
    });
  }

  send(
    request: IncomingMessage,
    response: ServerResponse,
    peer: Peer,
    pool: PeerPool,
    outgoing: Outgoing,
    connectTimeoutMs: number,
    events: TryEvents,
  ): Try {
    const attempt = new Try(peer, outgoing, events);
    this.#tries.set(request, attempt);
    // Both are set on the outgoing request: the library would normalise the one and join the other.
    request.url = "/";
    request.headers = {};
    const options = {
      target: { protocol: "http:", host: peer.host, port: peer.port },
      agent: pool.agent,
      buffer: outgoing.body,
      connectTimeout: connectTimeoutMs,
      // The only way to `http.request`'s own options; the library writes into it.
      ssl: { maxHeaderSize: this.#limits.maxHeadBytes },
    };
    this.#proxy.web(request, response, options, (error) => attempt.onError(error));
    return attempt;
  }
}

export class Try {
  /** Whether an earlier request went over its connection. */
  isReused = false;
  /** Whether a byte of the answer has arrived. */
  get hasAnswered(): boolean {
    return this.#socket !== null && this.#socket.bytesRead > this.#readBefore;
  }
  readonly #peer: Peer;
  readonly #outgoing: Outgoing;
  readonly #events: TryEvents;
  #request: ClientRequest | null = null;
  #socket: Socket | null = null;
  #answer: IncomingMessage | null = null;
  #readBefore = 0;
  #isConnected = false;
  #stage: "head" | "body" | "over" = "head";

  constructor(peer: Peer, outgoing: Outgoing, events: TryEvents) {
    this.#peer = peer;
    this.#outgoing = outgoing;
    this.#events = events;
  }

  /** Nothing more of it is wanted: its connection is closed. */
  cancel(): void {
    this.#stage = "over";
    this.#request?.destroy();
  }

  /** The answer is whole. `isKept`: the connection may serve another request. */
  finish(isKept: boolean): void {
    this.#stage = "over";
    if (!isKept) this.#request?.destroy();
  }

  /** The client is slower than the peer. */
  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  fail(failure: PeerFailure): void {
    if (this.#stage !== "head") return;
    this.cancel();
    this.#events.onFailed(failure);
  }

  addTrailers(trailers: readonly (readonly [string, string])[]): void {
    this.#request?.addTrailers(trailers.map(([name, value]): [string, string] => [name, value]));
  }

  onSocket(request: ClientRequest, socket: Socket): void {
    this.#request = request;
    this.#socket = socket;
    if (this.#stage === "over") {
      request.destroy();
      return;
    }
    this.isReused = request.reusedSocket;
    this.#readBefore = socket.bytesRead;
    this.#writeHead(request);
    this.#events.onHead();
    request.on("information", (info) => {
      if (this.#stage === "head") this.#events.onInformational(info.statusCode, info.rawHeaders);
    });
    request.on("upgrade", (answer, upgraded: Socket, first) => {
      if (this.#stage !== "head") {
        upgraded.destroy();
        return;
      }
      this.#stage = "over";
      this.#events.onSwitched(answer, upgraded, first);
    });
    this.#watchStart(socket);
    request.on("finish", () => {
      if (this.#stage !== "over") this.#events.onSent();
    });
    // One whose attempt failed at once is neither connecting nor connected.
    if (!socket.pending) this.#onConnect();
    else socket.once("connect", () => this.#onConnect());
  }

  onResponse(answer: IncomingMessage): void {
    if (this.#stage !== "head") {
      answer.resume();
      return;
    }
    this.#stage = "body";
    this.#answer = answer;
    // Followed by `close`, which tells the same.
    answer.on("error", () => {});
    answer.on("close", () => {
      if (!answer.complete) this.#cut("truncated");
    });
    this.#events.onResponse(answer);
  }

  onError(error: Error & { readonly code?: string }): void {
    const isMalformed = error.code?.startsWith("HPE_") === true;
    if (this.#stage === "body") {
      // Bytes behind the whole answer cost the connection, not the answer.
      if (this.#answer?.complete !== true)
        this.#cut(isMalformed ? "bad_response_body" : "truncated");
      return;
    }
    const { key } = this.#peer;
    if (isMalformed) {
      this.fail({ code: "bad_response", message: `${key}: ${error.message}` });
    } else if (this.#isConnected) {
      this.fail({ code: "reset", message: `${key} gave no answer: ${error.message}` });
    } else if (error.code === "ECONNECT_TIMEOUT") {
      this.fail({ code: "connect_timeout", message: `no connection to ${key} in time` });
    } else {
      this.fail(connectFailure(key, error));
    }
  }

  /** `node:http` skips line ends before a status line, and takes the versions of other protocols. */
  #watchStart(socket: Socket): void {
    let start = "";
    const onBytes = (bytes: Buffer) => {
      start += bytes.toString("latin1", 0, answerStart.length - start.length);
      if (!answerStart.startsWith(start)) {
        const message = `${this.#peer.key}: no answer of HTTP/1.0 or HTTP/1.1`;
        this.fail({ code: "bad_response", message });
      }
      if (start.length === answerStart.length) socket.off("data", onBytes);
    };
    socket.prependListener("data", onBytes);
  }

  #onConnect(): void {
    // It reached a place where no peer may be.
    if (this.#socket?.destroyed) return;
    this.#isConnected = true;
    if (this.#stage === "head") this.#events.onConnected();
  }

  #cut(code: "truncated" | "bad_response_body"): void {
    if (this.#stage !== "body") return;
    this.cancel();
    this.#events.onCut(code);
  }

  #writeHead(request: ClientRequest): void {
    const { target, headers, framing } = this.#outgoing;
    for (const name of request.getHeaderNames()) request.removeHeader(name);
    request.path = target;
    request.maxHeadersCount = 0;
    // Lines of one name come together, where the first of them stood.
    const byName = new Map<string, { readonly name: string; readonly values: string[] }>();
    for (const [name, value] of headers) {
      const lower = name.toLowerCase();
      const field = byName.get(lower);
      if (field === undefined) byName.set(lower, { name, values: [value] });
      else field.values.push(value);
    }
    for (const { name, values } of byName.values()) {
      request.setHeader(name, values.length === 1 ? (values[0] ?? "") : values);
    }
    request.useChunkedEncodingByDefault = false;
    if (framing !== null) request.setHeader(...framing);
    // Otherwise `node:http` would say of itself that the connection is kept.
    if (!byName.has("connection")) request.removeHeader("Connection");
    // `flushHeaders` would write them as UTF-8.
    request.write("", "latin1");
  }
}
