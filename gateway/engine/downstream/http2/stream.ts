/**
 * One stream of a client's HTTP/2 connection: hands its request to an exchange and writes what the exchange answers.
 * The object outlives the stream and then serves another one, so that its head and its exchange are made only once.
 */
import type { ServerHttp2Stream } from "node:http2";
import type {
  CutReason,
  Downstream,
  DownstreamEvents,
  OpenExchange,
} from "../../exchange/ports.ts";
import type { Refusal } from "../../message/grammar.ts";
import { fieldsObject, linesOf } from "../../message/http2-fields.ts";
import { RequestHead } from "../../message/request-head.ts";
import type { ResponseHead } from "../../message/response-head.ts";
import { oddTrailerNames } from "../../message/trailer.ts";
import type { ClientTls } from "../../tls.ts";
import { answerFields, sendRefusal } from "./answer-fields.ts";
import { noError } from "./codes.ts";
import { requestText } from "./request-text.ts";
import type { Http2Session } from "./session.ts";

/** The `ClientStream` that a stream of Node's belongs to. */
const owner = Symbol("owner");
type OwnedStream = ServerHttp2Stream & { [owner]?: ClientStream };

const nothing = Buffer.alloc(0);
/** Destroys a stream whose answer will not be complete; the client is told INTERNAL_ERROR. */
const cutOff = new Error("the answer is cut off");

export class ClientStream implements Downstream {
  readonly #head = new RequestHead();
  readonly #exchange: DownstreamEvents;
  #session: Http2Session;
  /** `null` when the stream is closed. */
  #stream: OwnedStream | null = null;
  /** Whether the exchange is over, and only the rest of the answer has to go out. */
  #isOver = true;
  /**
   * By when, on the engine's clock, the client has to take more of the rest, and how much was left when this was set.
   */
  #deadline = 0;
  #unsent = 0;
  /** Whether the client has sent the whole request. */
  #isRead = true;
  #trailer = "";
  /** A streamed answer's trailer, which goes out after all of its body. */
  #answerTrailer = "";
  /** Whether the answer is sent without a body, whatever the exchange gives. */
  #isBodiless = false;
  /** Whether interim answers wait until the client reads. */
  #holdsInterim = false;
  /** Whether the head of the final answer went out. */
  #isAnswered = false;

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
    return this.#stream?.bufferSize ?? 0;
  }

  /** Begins a request. `raw`: its fields, names and values alternately. `isWhole`: it has no body. */
  begin(
    session: Http2Session,
    stream: ServerHttp2Stream,
    raw: readonly string[],
    isWhole: boolean,
  ): void {
    const owned: OwnedStream = stream;
    owned[owner] = this;
    this.#session = session;
    this.#stream = owned;
    this.#isRead = isWhole;
    this.#isAnswered = false;
    this.#trailer = "";
    this.#answerTrailer = "";
    this.#isOver = false;
    this.#holdsInterim = false;
    stream.on("close", onClose);
    const refusal = this.#readHead(raw, isWhole);
    if (refusal !== null) {
      this.#refuse(refusal, raw);
      return;
    }
    this.#isBodiless = this.#head.method === "HEAD";
    this.#exchange.begin(null);
    if (isWhole || this.#isOver) return;
    stream.on("data", onData);
    stream.on("end", onEnd);
    stream.on("trailers", onTrailers);
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
    const stream = this.#live();
    if (stream === null || stream.headersSent) return true;
    stream.additionalHeaders({
      ...fieldsObject(head.fields.toString()),
      ":status": String(head.status),
    });
    // Flow control does not cover heads, so nothing else would stop an origin that sends interim answers without end.
    this.#holdsInterim = !this.#session.hasRoom;
    return !this.#holdsInterim;
  }

  sendWhole(head: ResponseHead, body: string): void {
    const stream = this.#respond(head, body === "", false);
    if (stream !== null && body !== "" && !this.#isBodiless) stream.end(body, "latin1");
  }

  sendHead(head: ResponseHead): void {
    const stream = this.#respond(head, false, head.isStreamed);
    if (stream === null || this.#isBodiless) return;
    stream.on("drain", onDrain);
    if (head.isStreamed) stream.on("wantTrailers", onWantTrailers);
  }

  sendData(piece: Buffer): boolean {
    const stream = this.#live();
    return stream === null || this.#isBodiless || stream.write(piece);
  }

  sendEnd(trailer: string): void {
    const stream = this.#live();
    if (stream === null || this.#isBodiless) return;
    this.#answerTrailer = trailer;
    stream.end();
  }

  sendUpgrade(): void {
    throw new Error("HTTP/2 has no upgrade, and none was offered to the peer");
  }

  cut(reason: CutReason): void {
    const stream = this.#live();
    if (stream === null) return;
    // If this closed with a code, Node might send the stream's end before the reset, and the answer would look
    // complete.
    const end = () => stream.destroy(cutOff);
    // The cut ends the request too, so nothing must wait for the rest of it.
    this.#isRead = true;
    // The part of the answer that has come goes out first.
    if (reason === "truncated") stream.write(nothing, end);
    else end();
  }

  resume(): void {
    if (this.#stream?.isPaused() === true) this.#stream.resume();
  }

  release(): void {
    this.#isOver = true;
    const stream = this.#stream;
    if (stream === null) {
      this.#session.onStreamOver(this);
      return;
    }
    this.#awaitTaking(stream);
    // Nobody reads the rest of the request, so the client need not send it (RFC 9113 section 8.1). The answer's
    // trailer has to leave first.
    if (this.#isRead || stream.closed) return;
    stream.resume();
    if (stream.listenerCount("wantTrailers") === 0) closeLater(stream);
  }

  // Called by Node's stream.

  serves(stream: ServerHttp2Stream): boolean {
    return this.#stream === stream;
  }

  onData(piece: Buffer): void {
    if (!this.#isOver && !this.#exchange.onData(piece, 0, piece.length)) this.#stream?.pause();
  }

  onEnd(): void {
    this.#isRead = true;
    if (!this.#isOver) this.#exchange.onEnd(this.#trailer);
  }

  /** `raw`: names and values alternately. Trailers come before the last piece of the body is read. */
  onTrailers(raw: readonly string[]): void {
    const lines = linesOf(raw);
    const { counters, limits } = this.#session.host;
    counters.droppedHeaders += oddTrailerNames(lines, limits);
    this.#trailer = lines;
  }

  onDrain(): void {
    if (!this.#isOver) this.#exchange.onDrain();
  }

  onWantTrailers(): void {
    const stream = this.#stream;
    if (stream === null) return;
    stream.sendTrailers(fieldsObject(this.#answerTrailer));
    // Node sends the trailer in the next turn, and does what is scheduled after it later.
    if (!this.#isRead) closeLater(stream);
  }

  onClose(): void {
    this.#stream = null;
    if (this.#isOver) {
      this.#session.onStreamOver(this);
      return;
    }
    if (!this.#isAnswered) this.#session.onReset();
    this.#exchange.onGone();
  }

  /** Returns why the request is refused, or `null`. */
  #readHead(raw: readonly string[], isWhole: boolean): Refusal | null {
    const { limits, counters } = this.#session.host;
    const text = requestText(raw, limits.maxHeadBytes);
    if (typeof text !== "string") return text;
    const head = this.#head;
    head.proxy = this.#session.client.proxy;
    const refusal = head.read(text, text.length, limits);
    counters.droppedHeaders += head.oddNames;
    head.version = "2";
    head.isStreamed = !isWhole && head.contentLength === -1;
    return refusal;
  }

  /** Answers a request that never became an exchange. */
  #refuse(refusal: Refusal, raw: readonly string[]): void {
    const { counters, clock } = this.#session.host;
    counters.countRefused(refusal.code);
    const isHead = raw[raw.indexOf(":method") + 1] === "HEAD";
    const stream = this.#live();
    if (stream !== null) sendRefusal(stream, refusal, clock.dateLine, isHead);
    this.#isAnswered = true;
    this.release();
  }

  /** Sends the head of the final answer. Returns `null` when nothing can be sent any more. */
  #respond(head: ResponseHead, isEmpty: boolean, mayHaveTrailer: boolean): OwnedStream | null {
    const stream = this.#live();
    if (stream === null) return null;
    const { status } = head;
    const hasLength = status !== 204 && status !== 205;
    this.#isBodiless = this.#head.method === "HEAD" || !hasLength || status === 304;
    const endStream = isEmpty || this.#isBodiless;
    const fields = answerFields(head, this.#session.host.clock.dateLine, hasLength);
    this.#isAnswered = true;
    stream.respond(fields, { endStream, waitForTrailers: mayHaveTrailer && !endStream });
    return stream;
  }

  /** The exchange is over, and the client takes nothing of the rest. */
  #onLate(): void {
    const stream = this.#stream;
    if (stream === null) return;
    if (stream.bufferSize < this.#unsent) this.#awaitTaking(stream);
    else stream.destroy(cutOff);
  }

  #awaitTaking(stream: OwnedStream): void {
    const { clock, limits } = this.#session.host;
    this.#unsent = stream.bufferSize;
    this.#deadline = clock.current + limits.bodyTimeoutMs;
  }

  /** Returns `null` when nothing can be sent any more, even if the stream has not reported its close yet. */
  #live(): OwnedStream | null {
    const stream = this.#stream;
    return stream === null || stream.closed || stream.destroyed ? null : stream;
  }
}

/** Closes in a later step: called from within nghttp2's own callbacks, the reset would overtake the answer's head. */
function closeLater(stream: OwnedStream): void {
  setImmediate(() => stream.close(noError));
}

/** Returns `null` for a closed stream, whose former owner may serve another one by now. */
function ownerOf(stream: OwnedStream): ClientStream | null {
  const found = stream[owner];
  return found?.serves(stream) ? found : null;
}

// All streams share these functions: a closure for each stream would cost as much as the rest of its events.

function onData(this: OwnedStream, piece: Buffer): void {
  ownerOf(this)?.onData(piece);
}

function onEnd(this: OwnedStream): void {
  ownerOf(this)?.onEnd();
}

function onTrailers(this: OwnedStream, _fields: unknown, _flags: number, raw: string[]): void {
  ownerOf(this)?.onTrailers(raw);
}

function onDrain(this: OwnedStream): void {
  ownerOf(this)?.onDrain();
}

function onClose(this: OwnedStream): void {
  ownerOf(this)?.onClose();
}

function onWantTrailers(this: OwnedStream): void {
  ownerOf(this)?.onWantTrailers();
}
