/**
 * An exchange's answer on its way to the client, be it the origin's or the gateway's own: its heads, its
 * body and its end, or the upgrade that takes its place. Tries that bring none are not seen here.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Answer } from "../engine.ts";
import { answerFields, contentOf } from "../message/answers.ts";
import { answerTrailer } from "../message/trailer.ts";
import { AnswerPlan } from "./answer-plan.ts";
import type { ClientSession } from "./client-session.ts";
import type { ReferenceExchange } from "./exchange.ts";
import type { ExchangeDeadlines } from "./exchange-deadlines.ts";
import { HeaderList } from "./header-list.ts";
import type { ReferenceEngine } from "./reference.ts";
import type { RequestPlan } from "./request-plan.ts";
import { trailerLines, trailerPairs } from "./trailers.ts";
import { Tunnel } from "./tunnel.ts";

export class ClientAnswer<C> {
  /** The origin's; `null` as long as there is none. */
  plan: AnswerPlan | null = null;
  readonly #engine: ReferenceEngine<C>;
  readonly #session: ClientSession<C>;
  readonly #exchange: ReferenceExchange<C>;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #asked: RequestPlan;
  readonly #deadlines: ExchangeDeadlines;
  /** Whether the client speaks HTTP/1.0. */
  readonly #isOld: boolean;
  #tunnel: Tunnel | null = null;
  #isFlooded = false;

  constructor(
    engine: ReferenceEngine<C>,
    session: ClientSession<C>,
    exchange: ReferenceExchange<C>,
    request: IncomingMessage,
    response: ServerResponse,
    asked: RequestPlan,
    deadlines: ExchangeDeadlines,
  ) {
    this.#engine = engine;
    this.#session = session;
    this.#exchange = exchange;
    this.#request = request;
    this.#response = response;
    this.#asked = asked;
    this.#deadlines = deadlines;
    this.#isOld = request.httpVersion === "1.0";
  }

  /**
   * A whole answer of the gateway's own; returns the bytes of its body. Throws a `TypeError` for a header
   * that is not valid, before anything is written.
   */
  writeOwn(answer: Answer): number {
    answerFields(answer);
    const headers: [string, string][] = [];
    for (const [name, values] of Object.entries(answer.headers ?? {})) {
      for (const value of typeof values === "string" ? [values] : values)
        headers.push([name, value]);
    }
    this.#settleKeepAlive();
    const body = Buffer.from(contentOf(answer));
    const hasBody = answer.status !== 204 && answer.status !== 304;
    if (hasBody) headers.push(["Content-Length", String(body.length)]);
    this.#writeHead(answer.status, undefined, headers);
    if (!hasBody || this.#request.method === "HEAD") {
      this.#response.end();
      return 0;
    }
    this.#response.end(body);
    return body.length;
  }

  /** No answer is wanted any more. */
  drop(): void {
    this.#tunnel?.close();
  }

  /** The peer did not go on in time. */
  onLate(): void {
    if (this.#tunnel === null) {
      this.onCut("body_timeout");
      return;
    }
    this.#exchange.errorCode = "client_closed";
    this.#tunnel.close();
  }

  // What the try tells.

  onInformational(status: number, rawHeaders: readonly string[]): void {
    if (this.#isOld || this.#response.headersSent) return;
    // Only then does `node:http` know that the client was told to go on.
    if (status === 100) this.#response.writeContinue();
    else this.#response.writeInformation(status, informationalHeaders(rawHeaders));
    if (this.#isFlooded || !this.#session.isFull) return;
    // An origin may send interim answers without end, and the client not read them.
    this.#isFlooded = true;
    this.#deadlines.awaitClient();
    const { peerRequest } = this.#exchange;
    // `node:http` reads on after each of them: it can be stopped only once it has read what it has.
    process.nextTick(() => peerRequest.pauseAnswer());
    this.#session.onceDrained(() => {
      this.#isFlooded = false;
      peerRequest.resumeAnswer();
    });
  }

  onResponse(message: IncomingMessage): void {
    const exchange = this.#exchange;
    const plan = AnswerPlan.read(message, exchange.method);
    if (typeof plan === "string") {
      exchange.peerRequest.onBadAnswer(plan);
      return;
    }
    if (!this.#show(plan)) return;
    exchange.phase = "answering";
    this.#settleKeepAlive();
    const framing = plan.framing(this.#isOld);
    if (framing === "close") this.#session.keepAlive = false;
    const headers = plan.headers
      .forwarded()
      .filter(([name]) => framing === "chunked" || name.toLowerCase() !== "trailer");
    if (framing === "length") headers.push(["Content-Length", String(plan.contentLength)]);
    this.#writeHead(plan.status, plan.reason, headers);
    // `flushHeaders` would write them as UTF-8.
    this.#response.write("", "latin1");
    this.#forwardBody(message);
    message.on("end", () => {
      if (!message.complete || exchange.phase !== "answering") return;
      if (framing === "chunked") {
        const { connection } = plan.headers;
        const lines = answerTrailer(trailerLines(message.rawTrailers), connection);
        this.#response.addTrailers(trailerPairs(lines));
      }
      exchange.peerRequest.finish(exchange.peerRequest.isRead);
      this.#response.end();
      exchange.end();
    });
  }

  /** The answer ends before its end: the client must be able to see that. */
  onCut(code: string): void {
    const exchange = this.#exchange;
    if (exchange.phase !== "answering") return;
    exchange.errorCode = code;
    exchange.drop();
    this.#session.truncate(this.plan?.framing(this.#isOld) === "close");
    exchange.end();
  }

  /** The peer switched protocols; `first` is what came behind its head. */
  onSwitched(message: IncomingMessage, socket: Socket, first: Buffer): void {
    const exchange = this.#exchange;
    const plan = AnswerPlan.switched(message, this.#asked.upgrade);
    if (typeof plan === "string") {
      socket.destroy();
      exchange.peerRequest.onBadAnswer(plan);
      return;
    }
    if (!this.#show(plan)) {
      socket.destroy();
      return;
    }
    exchange.phase = "tunnel";
    const session = this.#session;
    session.keepAlive = false;
    const { tunnelTimeoutMs } = this.#engine.limits;
    this.#tunnel = new Tunnel(session.takeSocket(), socket, {
      onBytes: (fromClient, count) => {
        if (fromClient) exchange.bytesIn += count;
        else exchange.bytesOut += count;
        this.#deadlines.awaitPeer(tunnelTimeoutMs);
      },
      onClosed: () => {
        exchange.peerRequest.finish(false);
        exchange.end();
      },
    });
    this.#deadlines.awaitPeer(tunnelTimeoutMs);
    this.#tunnel.begin(plan.upgradeHead(), session.takeAhead(), first);
  }

  /** Shows the origin's head to the handler. False: the handler threw, and the exchange is over. */
  #show(plan: AnswerPlan): boolean {
    const exchange = this.#exchange;
    this.plan = plan;
    exchange.status = plan.status;
    exchange.peerRequest.onAnswered(plan.status);
    try {
      this.#engine.handler.onResponse(exchange);
      return true;
    } catch (error) {
      exchange.onHandlerThrew(error);
      return false;
    }
  }

  /** As fast as the client takes it. */
  #forwardBody(message: IncomingMessage): void {
    const response = this.#response;
    const deadlines = this.#deadlines;
    const readTimeoutMs = this.#exchange.target?.readTimeoutMs ?? this.#engine.limits.bodyTimeoutMs;
    deadlines.awaitPeer(readTimeoutMs);
    message.on("data", (piece: Buffer) => {
      this.#exchange.bytesOut += piece.length;
      deadlines.awaitPeer(readTimeoutMs);
      if (response.write(piece)) return;
      message.pause();
      deadlines.clearPeer();
      deadlines.awaitClient();
      response.once("drain", () => {
        message.resume();
        deadlines.awaitPeer(readTimeoutMs);
      });
    });
  }

  #settleKeepAlive(): void {
    if (!this.#exchange.peerRequest.isRead || this.#engine.isDraining)
      this.#session.keepAlive = false;
  }

  #writeHead(
    status: number,
    reason: string | undefined,
    headers: readonly (readonly [string, string])[],
  ): void {
    const response = this.#response;
    const raw = headers.flat();
    if (!this.#session.keepAlive) raw.push("Connection", "close");
    // After an expectation that was not answered with 100 `node:http` closes unless it is told not to.
    else if (this.#isOld || this.#asked.headers.get("expect") !== undefined) {
      raw.push("Connection", "keep-alive");
    }
    // Otherwise `node:http` would say of itself that the connection is kept.
    else response.removeHeader("Connection");
    if (reason === undefined) response.writeHead(status, raw);
    else response.writeHead(status, reason, raw);
  }
}

/** The end-to-end fields of an interim answer. */
function informationalHeaders(rawHeaders: readonly string[]): string[] {
  const headers = new HeaderList("response", rawHeaders);
  headers.removeNamedBy(headers.connection);
  return headers.forwarded().flat();
}
