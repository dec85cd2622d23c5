/**
 * The body of a request on its way to a peer: kept until the answer begins, so that another peer can be
 * tried, and never more of it than the peer takes.
 */
import type { IncomingMessage } from "node:http";
import { PassThrough, type Readable } from "node:stream";

/** Up to here a body is kept. */
const maxHeldBytes = 65_536;

export class RequestBody {
  /** Whether nothing of it is still to come. */
  isDone: boolean;
  readonly #request: IncomingMessage;
  readonly #onBytes: (count: number) => void;
  readonly #onEnd: () => void;
  readonly #held: Buffer[] = [];
  #heldBytes = 0;
  #isWhole = true;
  #isSent = false;
  #isDropped = false;
  #stream: PassThrough | null = null;
  /** The stream of a try whose head is not written: nothing may come before that. */
  #next: PassThrough | null = null;

  constructor(
    request: IncomingMessage,
    isEmpty: boolean,
    events: { readonly onBytes: (count: number) => void; readonly onEnd: () => void },
  ) {
    this.#request = request;
    this.isDone = isEmpty;
    this.#onBytes = events.onBytes;
    this.#onEnd = events.onEnd;
    if (isEmpty) {
      request.resume();
      return;
    }
    request.on("data", (piece: Buffer) => this.#onData(piece));
    request.on("end", () => {
      this.isDone = true;
      this.#onEnd();
      this.#stream?.end();
    });
  }

  /** Whether all that came can be sent to another peer. */
  get canRepeat(): boolean {
    return this.#isWhole;
  }

  /** The body from its start, as a stream for one try; empty until `begin`. */
  open(): Readable {
    const stream = new PassThrough();
    this.#next = stream;
    this.#isSent = false;
    stream.on("drain", () => this.#resume());
    // A stream that is thrown away with its try is of no interest any more.
    stream.on("error", () => {});
    return stream;
  }

  /** The head of the try is written. */
  begin(): void {
    const stream = this.#next;
    if (stream === null) return;
    this.#next = null;
    this.#stream = stream;
    for (const piece of this.#held) stream.write(piece);
    if (this.isDone) stream.end();
    this.#resume();
  }

  /** The try that `open` was for is over. */
  close(): void {
    this.#stream?.destroy();
    this.#stream = null;
    this.#next = null;
  }

  /** The try has a connection: what is beyond the bound need not be kept. */
  onConnected(): void {
    this.#isSent = true;
    if (this.#heldBytes > maxHeldBytes) this.letGo();
    this.#resume();
  }

  /** The body is not needed for another try any more. */
  letGo(): void {
    if (this.#heldBytes > 0) this.#isWhole = false;
    this.#held.length = 0;
    this.#heldBytes = 0;
  }

  /** What is still to come goes nowhere. */
  drop(): void {
    this.#isDropped = true;
    this.close();
    this.letGo();
    this.#request.resume();
  }

  #onData(piece: Buffer): void {
    if (!this.#isDropped && this.#isWhole) {
      this.#held.push(piece);
      this.#heldBytes += piece.length;
      if (this.#isSent && this.#heldBytes > maxHeldBytes) this.letGo();
    }
    const hasRoom = this.#stream === null || this.#stream.write(piece);
    this.#onBytes(piece.length);
    if (!this.#isDropped && (!hasRoom || this.#heldBytes > maxHeldBytes)) this.#request.pause();
  }

  #resume(): void {
    if (this.#heldBytes <= maxHeldBytes && this.#stream?.writableNeedDrain !== true) {
      this.#request.resume();
    }
  }
}
