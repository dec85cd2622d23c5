/**
 * An exchange's answer as it goes to the client, be it the origin's or the gateway's own, on a response
 * of `node:http`'s. When what is written is not decided here.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { answerFields } from "../answers.ts";
import type { Answer } from "../engine.ts";
import type { AnswerPlan } from "./answer-plan.ts";
import type { ClientSession } from "./client-session.ts";
import type { ExchangeDeadlines } from "./exchange-deadlines.ts";
import { HeaderList } from "./header-list.ts";
import type { ReferenceEngine } from "./reference.ts";
import type { RequestPlan } from "./request-plan.ts";
import { trailerPairs } from "./trailers.ts";

export class ClientAnswer<C> {
  readonly #engine: ReferenceEngine<C>;
  readonly #session: ClientSession<C>;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  /** Of the request. */
  readonly #plan: RequestPlan;
  readonly #deadlines: ExchangeDeadlines;
  readonly #isOld: boolean;

  constructor(
    engine: ReferenceEngine<C>,
    session: ClientSession<C>,
    request: IncomingMessage,
    response: ServerResponse,
    plan: RequestPlan,
    deadlines: ExchangeDeadlines,
  ) {
    this.#engine = engine;
    this.#session = session;
    this.#request = request;
    this.#response = response;
    this.#plan = plan;
    this.#deadlines = deadlines;
    this.#isOld = request.httpVersion === "1.0";
  }

  /**
   * A whole answer of the gateway's own; returns the bytes of its body. Throws a `TypeError` for a header
   * that is not valid, before anything is written.
   */
  writeOwn(answer: Answer, isRequestRead: boolean): number {
    answerFields(answer);
    const headers: [string, string][] = [];
    for (const [name, values] of Object.entries(answer.headers ?? {})) {
      for (const value of typeof values === "string" ? [values] : values)
        headers.push([name, value]);
    }
    this.#settleKeepAlive(isRequestRead);
    const body = Buffer.from(answer.body ?? "");
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

  /** False: nothing was written, since the client does not know it or the final answer has begun. */
  writeInformational(status: number, rawHeaders: readonly string[]): boolean {
    if (this.#isOld || this.#response.headersSent) return false;
    // Only then does `node:http` know that the client was told to go on.
    if (status === 100) this.#response.writeContinue();
    else this.#response.writeInformation(status, informationalHeaders(rawHeaders));
    return true;
  }

  /** The origin's head. */
  writeHead(answer: AnswerPlan, isRequestRead: boolean): void {
    this.#settleKeepAlive(isRequestRead);
    const framing = answer.framing(this.#isOld);
    if (framing === "close") this.#session.keepAlive = false;
    const headers = answer.headers
      .forwarded()
      .filter(([name]) => framing === "chunked" || name.toLowerCase() !== "trailer");
    if (framing === "length") headers.push(["Content-Length", String(answer.contentLength)]);
    this.#writeHead(answer.status, answer.reason, headers);
    // `flushHeaders` would write them as UTF-8.
    this.#response.write("", "latin1");
  }

  /** Passes the origin's body on, as fast as the client takes it; `onBytes` is told of each piece. */
  forwardBody(message: IncomingMessage, onBytes: (count: number) => void): void {
    const response = this.#response;
    const deadlines = this.#deadlines;
    const { bodyTimeoutMs } = this.#engine.limits;
    deadlines.awaitPeer(bodyTimeoutMs);
    message.on("data", (piece: Buffer) => {
      onBytes(piece.length);
      deadlines.awaitPeer(bodyTimeoutMs);
      if (response.write(piece)) return;
      message.pause();
      deadlines.clearPeer();
      deadlines.awaitClient();
      response.once("drain", () => {
        message.resume();
        deadlines.awaitPeer(bodyTimeoutMs);
      });
    });
  }

  /** The end of the origin's body, which `message` has seen. */
  writeEnd(answer: AnswerPlan, message: IncomingMessage): void {
    if (answer.framing(this.#isOld) === "chunked") {
      this.#response.addTrailers(trailerPairs(message.rawTrailers, answer.headers.connection));
    }
    this.#response.end();
  }

  /** The origin's body ends before its end: the client must be able to see that. */
  truncate(answer: AnswerPlan | null): void {
    this.#session.truncate(answer?.framing(this.#isOld) === "close");
  }

  #settleKeepAlive(isRequestRead: boolean): void {
    if (!isRequestRead || this.#engine.isDraining) this.#session.keepAlive = false;
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
    else if (this.#isOld || this.#plan.headers.get("expect") !== undefined) {
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
