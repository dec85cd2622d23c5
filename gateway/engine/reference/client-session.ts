/**
 * One client's connection under the reference engine: serves its requests one after the other, as
 * `http1/` does, though `node:http` would have them all at once; and refuses what is none.
 */
import { type IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { refusalText } from "../message/answers.ts";
import type { TrustedProxy } from "../message/forwarding.ts";
import type { Refusal } from "../message/grammar.ts";
import { BytesAhead } from "./bytes-ahead.ts";
import { ReferenceExchange } from "./exchange.ts";
import { parserRefusal } from "./parser-refusal.ts";
import type { ReferenceEngine } from "./reference.ts";
import { headTooLarge, planRequest } from "./request-plan.ts";
import { RequestWatch } from "./request-watch.ts";

/** How long a refused client may go on sending before the connection is cut, so that it can read why. */
const lingerMs = 5_000;
/** Requests that are read ahead of their turn; then the client is not read. */
const maxAhead = 16;

interface Refused {
  readonly refusal: Refusal;
  /** Of a HEAD request: it is answered without a body. */
  readonly isHead: boolean;
}

interface Arrived {
  readonly request: IncomingMessage;
  /** `null`: `node:http` gave up the socket for an upgrade. */
  readonly response: ServerResponse | null;
}

export class ClientSession<C> {
  readonly address: string;
  /** Where it was accepted. */
  readonly listener: number;
  /** The client, when it is a trusted proxy. */
  readonly proxy: TrustedProxy | null;
  /** Whether the connection outlives the current exchange. */
  keepAlive = true;
  readonly #engine: ReferenceEngine<C>;
  readonly #socket: Socket;
  #queue: (Arrived | Refused)[] = [];
  /** Whether it counts as a connection of the gateway's. */
  isAdmitted = true;
  #stage: "idle" | "head" | "busy" | "closing" | "closed" = "idle";
  #active: ReferenceExchange<C> | null = null;
  /** The parser gave up: what comes is thrown away. */
  #broken: Refusal | null = null;
  #requests = 0;
  #deadline: number;
  #readBefore = 0;
  #unsentBefore = 0;
  readonly #ahead: BytesAhead;
  #watch: RequestWatch;
  readonly #beforeParser = (bytes: Buffer) => this.#watch.onBytes(bytes);
  readonly #afterParser = () => this.#onWatched();

  /** `trusts`: of a trusted proxy's connection, which others are trusted. */
  constructor(
    engine: ReferenceEngine<C>,
    socket: Socket,
    address: string,
    trusts: ((address: string) => boolean) | null,
    listener: number,
  ) {
    this.#engine = engine;
    this.#socket = socket;
    this.#ahead = new BytesAhead(socket);
    this.#watch = new RequestWatch(engine.limits.maxHeadBytes);
    this.address = address;
    this.listener = listener;
    this.proxy = trusts === null ? null : { address, trusts };
    this.#deadline = engine.clock + engine.limits.idleTimeoutMs;
    socket.on("end", () => this.#onEnd());
    // A socket's error is always followed by its close.
    socket.on("error", () => {});
    socket.on("close", () => this.#onClose());
  }

  /** Bytes that the client has not taken. */
  get unsent(): number {
    return this.#socket.writableLength;
  }

  /** Whether the client is slower than what is written. */
  get isFull(): boolean {
    return this.#socket.writableNeedDrain;
  }

  /** Calls back when the client has taken what was written, unless the connection closes before. */
  onceDrained(resume: () => void): void {
    this.#socket.once("drain", resume);
  }

  /** `node:http` has begun to read the socket: what it is about to read is looked at before. */
  watch(): void {
    this.#watch = new RequestWatch(this.#engine.limits.maxHeadBytes);
    this.#socket.prependListener("data", this.#beforeParser);
    this.#socket.on("data", this.#afterParser);
  }

  onRequest(request: IncomingMessage, response: ServerResponse): void {
    if (this.#watch.onArrival()) this.#enqueue({ request, response });
    else request.resume();
  }

  onUpgrade(request: IncomingMessage, head: Buffer): void {
    this.#unwatch();
    this.#ahead.begin(head);
    if (this.#watch.onArrival()) this.#enqueue({ request, response: null });
    else this.#onWatched();
  }

  onRefused(refusal: Refusal, { method }: IncomingMessage): void {
    if (this.#watch.onArrival()) this.#enqueue({ refusal, isHead: method === "HEAD" });
  }

  /** `node:http`'s parser, or its socket, failed. */
  onError(error: Error & { readonly code?: string }): void {
    const refusal = this.#watch.refusal ?? parserRefusal(error);
    if (refusal === null) {
      this.destroy();
      return;
    }
    if (this.#broken !== null) return;
    this.#broken = refusal;
    const last = this.#queue.at(-1);
    if (last === undefined && this.#active?.isReadingBody === true) this.#breakBody(this.#active);
    else if (last === undefined || "refusal" in last || last.request.complete) {
      this.#enqueue({ refusal, isHead: this.#watch.isHead });
    }
  }

  /** Refuses the connection as a whole. */
  refuse(refusal: Refusal, isHead = false): void {
    if (this.#stage === "closing" || this.#stage === "closed") return;
    this.isAdmitted = false;
    this.#engine.countRefused(refusal.code);
    const dateLine = `Date: ${new Date().toUTCString()}\r\n`;
    this.#socket.end(refusalText(refusal, dateLine, isHead), "latin1");
    this.#linger();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Looks whether a client that is not read now has been reset. */
  probe(): void {
    if (this.#socket.writableLength === 0) this.#socket.write("");
  }

  /**
   * Ends without the end of the answer, so that the client sees that it is not whole: where neither a
   * length nor a last chunk is missing (`isBare`), only a reset tells.
   */
  truncate(isBare: boolean): void {
    this.#stage = "closing";
    this.#deadline = this.#engine.clock + lingerMs;
    if (isBare) this.#socket.resetAndDestroy();
    else this.#socket.destroySoon();
  }

  /** The socket, for a tunnel. */
  takeSocket(): Socket {
    this.#ahead.stop();
    return this.#socket;
  }

  /** What the client sent behind the head of its upgrade. */
  takeAhead(): Buffer {
    return this.#ahead.take();
  }

  onExchangeOver(): void {
    const wasTunnel = this.#stage === "busy" && this.#active !== null && !this.#ahead.isKeeping;
    this.#active = null;
    this.#awaitProgress();
    if (wasTunnel && this.#socket.writableEnded) this.#linger();
  }

  onDrainStart(graceEnd: number): void {
    if (this.#stage === "idle") this.#deadline = Math.min(this.#deadline, graceEnd);
  }

  onSweep(now: number): void {
    if (this.#active !== null) {
      this.#active.onSweep(now);
      return;
    }
    if (this.#stage === "idle" && this.#socket.bytesRead > this.#readBefore) {
      this.#stage = "head";
      this.#deadline = now + this.#engine.limits.headTimeoutMs;
    }
    if (this.#stage === "head") {
      // `node:http` counts names and values only.
      const { maxHeadBytes } = this.#engine.limits;
      if (this.#socket.bytesRead - this.#readBefore > maxHeadBytes) {
        this.refuse(headTooLarge(maxHeadBytes), this.#watch.isHead);
        return;
      }
    }
    if (now >= this.#deadline) this.#onDeadline();
  }

  #onDeadline(): void {
    if (this.#stage === "idle") {
      this.#socket.end();
      this.#linger();
    } else if (this.#stage === "head") {
      const { headTimeoutMs } = this.#engine.limits;
      const message = `no whole request head within ${headTimeoutMs} ms`;
      this.refuse({ status: 408, code: "head_timeout", message }, this.#watch.isHead);
    } else if (this.#stage === "busy" && this.unsent < this.#unsentBefore) {
      this.#awaitProgress();
    } else {
      this.destroy();
    }
  }

  #unwatch(): void {
    this.#watch.stop();
    this.#socket.off("data", this.#beforeParser);
    this.#socket.off("data", this.#afterParser);
  }

  /** The requests before the one that is refused have arrived. */
  #onWatched(): void {
    const { refusal, isHead } = this.#watch;
    if (refusal === null || this.#broken !== null) return;
    this.#broken = refusal;
    this.#enqueue({ refusal, isHead });
  }

  #enqueue(entry: Arrived | Refused): void {
    if (this.#stage === "closing" || this.#stage === "closed") {
      // What nobody reads would stop the rest, and with it the client's close.
      if (!("refusal" in entry)) entry.request.resume();
      return;
    }
    this.#queue.push(entry);
    if (this.#stage !== "busy") this.#advance();
    else if (this.#queue.length > maxAhead) this.#socket.pause();
  }

  #advance(): void {
    const entry = this.#queue.shift();
    if (entry === undefined) {
      this.#stage = "idle";
      this.#readBefore = this.#socket.bytesRead;
      const { clock, limits, isDraining, drainGraceEnd } = this.#engine;
      this.#deadline = isDraining ? drainGraceEnd : clock + limits.idleTimeoutMs;
      return;
    }
    if (this.#queue.length === 0) this.#socket.resume();
    if ("refusal" in entry) {
      this.refuse(entry.refusal, entry.isHead);
      return;
    }
    this.#start(entry);
  }

  #start({ request, response: given }: Arrived): void {
    const { limits } = this.#engine;
    const outcome = planRequest(request, limits, this.proxy, (lines) =>
      this.#engine.countDropped(lines),
    );
    if ("refusal" in outcome) {
      request.resume();
      this.refuse(outcome.refusal, request.method === "HEAD");
      return;
    }
    this.#stage = "busy";
    this.#requests += 1;
    const { plan } = outcome;
    this.keepAlive =
      plan.keepAlive &&
      (limits.maxRequestsPerConnection === 0 || this.#requests < limits.maxRequestsPerConnection);
    const response = given ?? this.#upgradeResponse(request);
    // Of a client that has gone it is the connection's own end that counts.
    response.on("error", () => {});
    if (given !== null) given.on("close", () => this.#onResponseOver());
    const exchange = new ReferenceExchange(this.#engine, this, request, response, plan);
    this.#active = exchange;
    this.#engine.addExchange();
    exchange.run();
    if (this.#broken !== null && this.#queue.length === 0 && this.#active?.isReadingBody) {
      this.#breakBody(this.#active);
    }
  }

  #breakBody(exchange: ReferenceExchange<C>): void {
    this.#engine.countRefused("bad_chunk");
    exchange.onRequestBroken(400, "bad_chunk", "the request body is malformed");
  }

  /** The answer to a request whose socket `node:http` has let go of. */
  #upgradeResponse(request: IncomingMessage): ServerResponse {
    const response = new ServerResponse(request);
    response.assignSocket(this.#socket);
    response.on("finish", () => {
      response.detachSocket(this.#socket);
      if (this.keepAlive) {
        // No upgrade after all: `node:http` reads on from where it stopped.
        this.#ahead.giveBack();
        this.#engine.attach(this.#socket);
        this.watch();
        this.#socket.resume();
      } else {
        this.#socket.end();
      }
      this.#onResponseOver();
    });
    return response;
  }

  #onResponseOver(): void {
    if (this.#stage === "closed" || this.#stage === "closing") return;
    if (!this.keepAlive) {
      this.#linger();
      return;
    }
    this.#advance();
  }

  #awaitProgress(): void {
    this.#unsentBefore = this.unsent;
    this.#deadline = this.#engine.clock + this.#engine.limits.bodyTimeoutMs;
  }

  #linger(): void {
    this.#stage = "closing";
    this.#queue = [];
    this.#deadline = this.#engine.clock + lingerMs;
    this.#socket.resume();
  }

  #onEnd(): void {
    if (this.#active === null) {
      if (this.#ahead.isKeeping || this.#stage === "closing") this.#socket.end();
      return;
    }
    if (this.#active.isTunnel) return;
    if (this.#engine.limits.servesHalfClosed && !this.#active.isReadingBody) this.keepAlive = false;
    else this.destroy();
  }

  #onClose(): void {
    this.#stage = "closed";
    this.#queue = [];
    this.#active?.onClientGone();
    this.#engine.removeSession(this);
  }
}
