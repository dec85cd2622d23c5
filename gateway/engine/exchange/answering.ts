/**
 * An answer on its way to the client, from a peer or from the gateway itself. The body goes through a tap if there
 * is one, and waits while the client has no room.
 */
import type { Answer } from "../engine.ts";
import { contentOf } from "../message/answers.ts";
import type { ResponseHead } from "../message/response-head.ts";
import type { BodyTap } from "../tap.ts";
import type { Deadlines } from "./deadlines.ts";
import type { Downstream } from "./ports.ts";
import { TapLine } from "./tap-line.ts";

/** Up to this size, a body that the gateway made itself leaves with its head in one write. */
const smallBodyBytes = 8_192;

/** The exchange, as its answer sees it. */
export interface AnsweringOwner {
  /** So many body bytes were given to the client. */
  onSent(bytes: number): void;
  /** The client, or the tap, has no room: the peer has to wait. */
  onAnswerFull(): void;
  onAnswerRoom(): void;
  /** The client has been given the whole answer. */
  onAnswered(): void;
  onTapFailed(status: number, code: string, message: string): void;
  onTapThrew(error: unknown): void;
}

export class Answering {
  /** Whether the client has to take what was already written before it gets more. */
  isClientFull = false;
  readonly #head: ResponseHead;
  readonly #downstream: Downstream;
  readonly #deadlines: Deadlines;
  readonly #owner: AnsweringOwner;
  #tap: TapLine | null = null;
  /** Field lines to send after the body. */
  #trailer = "";

  constructor(
    head: ResponseHead,
    downstream: Downstream,
    deadlines: Deadlines,
    owner: AnsweringOwner,
  ) {
    this.#head = head;
    this.#downstream = downstream;
    this.#deadlines = deadlines;
    this.#owner = owner;
  }

  get isTapped(): boolean {
    return this.#tap !== null;
  }

  tap(tap: BodyTap): void {
    if (this.#tap !== null) throw new Error("the answer's body has a tap already");
    this.#tap = new TapLine(tap, {
      onTapped: (piece) => this.#send(piece),
      onTapRoom: () => this.#owner.onAnswerRoom(),
      onTapEnd: () => this.#finish(),
      onTapFailed: (status, code, message) => this.#owner.onTapFailed(status, code, message),
      onTapThrew: (error) => this.#owner.onTapThrew(error),
    });
  }

  /** Drops the tap, because the answer that it was made for will not be sent. */
  untap(): void {
    this.#tap?.abort();
    this.#tap = null;
  }

  /**
   * Fills the head for an answer that the gateway made itself, and returns its body. Throws a `TypeError` for an invalid
   * field, before it changes anything.
   */
  fillIn(answer: Answer, method: string): string | Buffer {
    const body = contentOf(answer);
    const length = typeof body === "string" ? Buffer.byteLength(body) : body.length;
    this.#head.own(answer, length, method);
    return body;
  }

  /** Sends the head and the whole body, which is latin1 text. */
  sendWhole(body: string): void {
    if (this.#tap !== null) this.#untapNothing();
    if (this.#tap !== null) {
      this.#sendTapped(this.#tap, Buffer.from(body, "latin1"));
      return;
    }
    if (body !== "") this.#owner.onSent(body.length);
    this.#downstream.sendWhole(this.#head, body);
    this.#owner.onAnswered();
  }

  /** Sends the head that `fillIn` filled, and the body that it returned. */
  sendOwn(body: string | Buffer): void {
    const content = typeof body === "string" ? Buffer.from(body) : body;
    if (this.#head.framing !== "length") this.sendWhole("");
    else if (this.#tap !== null) this.#sendTapped(this.#tap, content);
    else if (content.length <= smallBodyBytes) this.sendWhole(content.toString("latin1"));
    else {
      this.sendHead(true);
      this.take(content);
      this.end("");
    }
  }

  /** Sends a whole body through the tap. Any of these calls may end the exchange; then the tap ignores the rest. */
  #sendTapped(tap: TapLine, body: Buffer): void {
    this.#deadlines.awaitTap();
    this.#begin(tap);
    if (body.length > 0) tap.take(body);
    tap.finish();
  }

  /** Sends the head alone. `isFollowed`: the first piece of the body follows right after this call. */
  sendHead(isFollowed: boolean): void {
    if (this.#tap === null) this.#downstream.sendHead(this.#head, isFollowed);
    else this.#begin(this.#tap);
  }

  /** Sends a piece of the body. */
  take(piece: Buffer): void {
    const hasRoom = this.#tap === null ? this.#send(piece) : this.#tap.take(piece);
    if (hasRoom) return;
    this.#owner.onAnswerFull();
    if (!this.isClientFull) this.#deadlines.awaitTap();
  }

  /** The body is complete. `trailer`: the part of its trailer that may be passed on. */
  end(trailer: string): void {
    this.#trailer = trailer;
    if (this.#tap === null) {
      this.#finish();
      return;
    }
    this.#deadlines.awaitTap();
    this.#tap.finish();
  }

  /** The client has room again. */
  onDrain(): void {
    this.isClientFull = false;
    if (this.#tap === null) {
      this.#owner.onAnswerRoom();
      return;
    }
    this.#deadlines.awaitTap();
    this.#tap.onDrain();
  }

  /** The exchange is over. */
  reset(): void {
    this.isClientFull = false;
    this.#trailer = "";
    if (this.#tap !== null) this.untap();
  }

  #begin(tap: TapLine): void {
    this.#head.forgetLength();
    this.#downstream.sendHead(this.#head, false);
    tap.begin();
  }

  /** Drops the tap when the answer has no body, and the length, which the tap would have changed. */
  #untapNothing(): void {
    if (this.#head.framing !== "none") return;
    this.untap();
    if (this.#head.contentLength > 0) this.#head.forgetLength();
  }

  #send(piece: Buffer): boolean {
    this.#owner.onSent(piece.length);
    if (this.#downstream.sendData(piece)) return true;
    this.isClientFull = true;
    this.#deadlines.awaitTaking();
    // The client causes this delay, not the tap.
    if (this.#tap !== null) this.#deadlines.peer = 0;
    return false;
  }

  #finish(): void {
    this.#downstream.sendEnd(this.#trailer);
    this.#owner.onAnswered();
  }
}
