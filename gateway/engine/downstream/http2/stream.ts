/**
 * One stream of a client's HTTP/2 connection: hands its request to an exchange and writes what the exchange answers.
 * The object outlives the stream and serves another one then, so that its head and its exchange are made once.
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

/** Whose stream it is. */
const owner = Symbol("owner");
type OwnedStream = ServerHttp2Stream & { [owner]?: ClientStream };

const nothing = Buffer.alloc(0);
/** Why a stream is destroyed whose answer will not be whole; its client is told INTERNAL_ERROR. */
const cutOff = new Error("the answer is cut off");

export class ClientStream implements Downstream {
  readonly #head = new RequestHead();
  readonly #exchange: DownstreamEvents;
  #session: Http2Session;
  /** `null` when it is closed. */
  #stream: OwnedStream | null = null;
  /** Whether the exchange is over, and only the rest of the answer is to go out. */
  #isOver = true;
  /** By when the client has to have taken more of it, on the engine's clock, and what was left when that was set. */
  #deadline = 0;
  #unsent = 0;
  /** Whether nothing of the request is still to come. */
  #isRead = true;
  #trailer = "";
  /** Of a streamed answer: goes out when all of its body has. */
  #answerTrailer = "";
  /** Whether the answer has no body, whatever is sent. */
  #isBodiless = false;
  /** Whether interim answers wait for the client to read. */
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

  /** A request came. `raw`: its fields, names and values by turns; `isWhole`: it has no body. */
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

  // What the exchange calls.

  sendInterim(head: ResponseHead): boolean {
    const stream = this.#live();
    if (stream === null || stream.headersSent) return true;
    stream.additionalHeaders({
      ...fieldsObject(head.fields.toString()),
      ":status": String(head.status),
    });
    // Heads are outside of flow control: nothing else would hold back an origin that sends them without end.
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
    // Closed with a code, Node may send the end of the stream before the reset: the answer would look whole.
    const end = () => stream.destroy(cutOff);
    // The request ends with it too: it is not to be dropped in peace.
    this.#isRead = true;
    // What came of the answer goes out first.
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
    // The client need not send the rest of what nobody reads (RFC 9113 section 8.1); a trailer goes before that.
    if (this.#isRead || stream.closed) return;
    stream.resume();
    if (stream.listenerCount("wantTrailers") === 0) closeLater(stream);
  }

  // What the stream tells.

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

  /** `raw`: names and values by turns. They come before the last of the body is read. */
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
    // Node sends the trailer in the next turn; what is set for it later comes later.
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

  /** Returns why the request is refused, if it is. */
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

  /** Answers what never became an exchange. */
  #refuse(refusal: Refusal, raw: readonly string[]): void {
    const { counters, clock } = this.#session.host;
    counters.countRefused(refusal.code);
    const isHead = raw[raw.indexOf(":method") + 1] === "HEAD";
    const stream = this.#live();
    if (stream !== null) sendRefusal(stream, refusal, clock.dateLine, isHead);
    this.#isAnswered = true;
    this.release();
  }

  /** Sends the head of the final answer. `null`: nothing can be sent any more. */
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

  /** The exchange is over, and the client takes nothing of what is left. */
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

  /** `null`: nothing can be sent any more, though its close has not been told. */
  #live(): OwnedStream | null {
    const stream = this.#stream;
    return stream === null || stream.closed || stream.destroyed ? null : stream;
  }
}

/** From within nghttp2's own calls the reset would overtake the answer's head. */
function closeLater(stream: OwnedStream): void {
  setImmediate(() => stream.close(noError));
}

/** `null`: it has been closed, and its owner may serve another stream. */
function ownerOf(stream: OwnedStream): ClientStream | null {
  const found = stream[owner];
  return found?.serves(stream) ? found : null;
}

// One function for all streams: a closure for each of them would cost as much as the rest of its events.

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
