/**
 * One stream of a client's HTTP/2 connection: hands its request to an exchange and writes what the exchange answers.
 * The object outlives the stream and then serves another one, so that its head and its exchange are made only once.
 */
import type {
  CutReason,
  Downstream,
  DownstreamEvents,
  OpenExchange,
} from "../../exchange/ports.ts";
import { errorCode } from "../../http2/frames.ts";
import type { Http2Stream, StreamOwner } from "../../http2/stream.ts";
import type { Refusal } from "../../message/grammar.ts";
import { appendFields, linesOf } from "../../message/http2-fields.ts";
import { RequestHead } from "../../message/request-head.ts";
import type { ResponseHead } from "../../message/response-head.ts";
import { oddTrailerNames } from "../../message/trailer.ts";
import type { ClientTls } from "../../tls.ts";
import { answerFields, refusalAnswer } from "./answer-fields.ts";
import { connectText } from "./connect-text.ts";
import { EarlyBytes } from "./early-bytes.ts";
import { requestText } from "./request-text.ts";
import type { Http2Session } from "./session.ts";

export class ClientStream implements Downstream, StreamOwner {
  readonly #head = new RequestHead();
  readonly #exchange: DownstreamEvents;
  #session: Http2Session;
  /** `null` when the stream is closed. */
  #stream: Http2Stream | null = null;
  /** Whether the exchange is over, and only the rest of the answer has to go out. */
  #isOver = true;
  /**
   * By when, on the engine's clock, the client has to take more of the rest, and how much was left when this was set.
   */
  #deadline = 0;
  #unsent = 0;
  /** Whether the exchange cut the answer off, and so knows that the stream ends. */
  #isCut = false;
  /** Whether the answer is sent without a body, whatever the exchange gives. */
  #isBodiless = false;
  /** Whether interim answers wait until the client reads. */
  #holdsInterim = false;
  /** What came for the protocol that the client asked for; `null` unless the peer still has to agree to it. */
  #early: EarlyBytes | null = null;
  /** Whether the peer agreed to it. */
  #isTunnel = false;

  constructor(openExchange: OpenExchange, session: Http2Session) {
    this.#session = session;
    this.#exchange = openExchange(this, this.#head);
  }

  get address(): string {
    return this.#session.client.address;
  }

  get listener(): number {
    return this.#session.client.listener;
  }

  get scheme(): "http" | "https" {
    return this.#session.client.scheme;
  }

  get tls(): ClientTls | null {
    return this.#session.client.tls;
  }

  get forwardedLine(): string {
    return this.#session.client.forwardedLine;
  }

  get unsentBytes(): number {
    return this.#stream?.unsentBytes ?? 0;
  }

  /** Begins a request. `fields`: names and values alternately. `isWhole`: it has no body. */
  begin(
    session: Http2Session,
    stream: Http2Stream,
    fields: readonly string[],
    isWhole: boolean,
  ): void {
    stream.owner = this;
    this.#session = session;
    this.#stream = stream;
    this.#isOver = false;
    this.#isCut = false;
    this.#holdsInterim = false;
    this.#isTunnel = false;
    this.#early = null;
    const refusal = this.#readHead(stream, fields, isWhole);
    if (refusal !== null) {
      this.#refuse(refusal, stream, fields[fields.indexOf(":method") + 1] === "HEAD");
      return;
    }
    this.#isBodiless = this.#head.method === "HEAD";
    this.#exchange.begin(null);
  }

  /** Looks at the deadlines; `now` is the engine's clock. */
  onTick(now: number): void {
    if (this.#isOver) {
      if (now >= this.#deadline) this.#onLate();
      return;
    }
    if (this.#holdsInterim && this.#session.hasRoom) {
      this.#holdsInterim = false;
      this.#exchange.onDrain();
    }
    this.#exchange.onTick(now);
  }

  // Called by the exchange.

  sendInterim(head: ResponseHead): boolean {
    const stream = this.#stream;
    if (stream === null || stream.hasSentHead) return true;
    const fields = [":status", String(head.status)];
    appendFields(fields, head.fields.toString());
    stream.sendHead(fields, false, true);
    // Flow control does not cover heads, so nothing else would stop an origin that sends interim answers without end.
    this.#holdsInterim = !this.#session.hasRoom;
    return !this.#holdsInterim;
  }

  sendWhole(head: ResponseHead, body: string): void {
    const stream = this.#respond(head, body === "");
    if (!this.#isBodiless && body !== "") stream?.sendText(body);
  }

  sendHead(head: ResponseHead): void {
    this.#respond(head, false);
  }

  sendData(piece: Buffer): boolean {
    const stream = this.#stream;
    return stream === null || this.#isBodiless || stream.sendData(piece);
  }

  sendEnd(trailer: string): void {
    const stream = this.#stream;
    if (stream === null || this.#isBodiless) return;
    if (trailer === "") {
      stream.sendEnd(null);
      return;
    }
    const fields: string[] = [];
    appendFields(fields, trailer);
    stream.sendEnd(fields);
  }

  /** Answers an extended CONNECT (RFC 8441 section 5). */
  sendUpgrade(head: ResponseHead): void {
    const stream = this.#stream;
    const early = this.#early;
    if (stream === null || early === null) return;
    this.#early = null;
    this.#isTunnel = true;
    head.fields.remove("sec-websocket-accept");
    stream.sendHead(answerFields(head, this.#session.host.clock.dateLine, false, 200), false);
    const { bytes } = early;
    if (bytes === null || this.#exchange.onData(bytes, 0, bytes.length)) stream.release();
    if (early.hasEnded) this.#exchange.onEnd("");
  }

  cut(reason: CutReason): void {
    this.#isCut = true;
    const code = this.#isTunnel ? errorCode.cancel : errorCode.internalError;
    // What has come before goes out first.
    if (reason === "truncated" || reason === "reset") this.#stream?.resetAfterContent(code);
    else this.#stream?.reset(code);
  }

  resume(): void {
    this.#stream?.release();
  }

  release(): void {
    this.#isOver = true;
    const stream = this.#stream;
    if (stream === null) {
      this.#session.onStreamOver(this);
      return;
    }
    this.#awaitTaking(stream);
    // Nobody reads the rest of the request, so the client need not send it.
    stream.stopReading();
  }

  // Called by the stream.

  /** Only answers have heads that come later. */
  onHead(): void {}

  onData(buffer: Buffer, from: number, to: number): void {
    if (this.#early !== null) this.#early.add(buffer, from, to);
    else if (!this.#exchange.onData(buffer, from, to)) this.#stream?.hold();
  }

  onEnd(trailer: readonly string[]): void {
    if (this.#early !== null) {
      this.#early.hasEnded = true;
      return;
    }
    const lines = linesOf(trailer);
    if (lines !== "") {
      const { counters, limits } = this.#session.host;
      counters.droppedHeaders += oddTrailerNames(lines, limits);
    }
    this.#exchange.onEnd(lines);
  }

  onDrain(): void {
    if (!this.#isOver) this.#exchange.onDrain();
  }

  onClosed(): void {
    const stream = this.#stream;
    this.#stream = null;
    this.#early = null;
    if (this.#isOver) this.#session.onStreamOver(this);
    else if (!this.#isCut && !this.#isDone(stream)) this.#exchange.onGone();
  }

  /** Whether the exchange ends by itself: it has sent everything and, in a tunnel, was given everything. */
  #isDone(stream: Http2Stream | null): boolean {
    return stream?.isSent === true && (!this.#isTunnel || stream.isReceived);
  }

  /** Returns why the request is refused, or `null`. */
  #readHead(stream: Http2Stream, fields: readonly string[], isWhole: boolean): Refusal | null {
    const { limits, counters } = this.#session.host;
    const { protocol } = stream;
    const text =
      protocol === ""
        ? requestText(fields, limits.maxHeadBytes)
        : connectText(fields, protocol, limits.maxHeadBytes);
    if (typeof text !== "string") return text;
    const head = this.#head;
    head.proxy = this.#session.client.proxy;
    const refusal = head.read(text, text.length, limits);
    counters.droppedHeaders += head.oddNames;
    head.version = "2";
    head.isStreamed = !isWhole && head.contentLength === -1 && protocol === "";
    if (protocol !== "") {
      this.#early = new EarlyBytes(isWhole);
      stream.hold();
    }
    return refusal;
  }

  /** Answers a request that never became an exchange. */
  #refuse(refusal: Refusal, stream: Http2Stream, isHead: boolean): void {
    const { counters, clock } = this.#session.host;
    counters.countRefused(refusal.code);
    const { fields, body } = refusalAnswer(refusal, clock.dateLine);
    stream.sendHead(fields, isHead);
    if (!isHead) stream.sendText(body);
    this.release();
  }

  /** Sends the head of the final answer. Returns `null` when nothing follows. */
  #respond(head: ResponseHead, isEmpty: boolean): Http2Stream | null {
    const stream = this.#stream;
    if (stream === null) return null;
    const { status } = head;
    const hasLength = status !== 204 && status !== 205;
    this.#isBodiless = this.#head.method === "HEAD" || !hasLength || status === 304;
    const fields = answerFields(head, this.#session.host.clock.dateLine, hasLength);
    stream.sendHead(fields, isEmpty || this.#isBodiless);
    return stream;
  }

  /** The exchange is over, and the client takes nothing of the rest. */
  #onLate(): void {
    const stream = this.#stream;
    if (stream === null) return;
    if (stream.unsentBytes < this.#unsent) this.#awaitTaking(stream);
    else stream.reset(errorCode.internalError);
  }

  #awaitTaking(stream: Http2Stream): void {
    const { clock, limits } = this.#session.host;
    this.#unsent = stream.unsentBytes;
    this.#deadline = clock.current + limits.bodyTimeoutMs;
  }
}
