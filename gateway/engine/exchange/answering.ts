/**
 * An answer on its way to the client, be it the peer's or the gateway's own: its head, and its body, which goes
 * through a tap if there is one and is held back where the client has no room.
 */
import type { Answer } from "../engine.ts";
import { contentOf } from "../message/answers.ts";
import type { ResponseHead } from "../message/response-head.ts";
import type { BodyTap } from "../tap.ts";
import type { Deadlines } from "./deadlines.ts";
import type { Downstream } from "./ports.ts";
import { TapLine } from "./tap-line.ts";

/** A body of the gateway's own up to this size leaves with its head, in one write. */
const smallBodyBytes = 8_192;

/** The exchange, as its answer sees it. */
export interface AnsweringOwner {
  /** Body bytes were given to the client. */
  onSent(bytes: number): void;
  /** The client, or the tap, has no room: the peer is to wait. */
  onAnswerFull(): void;
  onAnswerRoom(): void;
  /** The client has been given the whole answer. */
  onAnswered(): void;
  onTapFailed(status: number, code: string, message: string): void;
  onTapThrew(error: unknown): void;
}

export class Answering {
  /** Whether the client has to take what was written before it gets more. */
  isClientFull = false;
  readonly #head: ResponseHead;
  readonly #downstream: Downstream;
  readonly #deadlines: Deadlines;
  readonly #owner: AnsweringOwner;
  #tap: TapLine | null = null;
  /** Field lines that are passed on behind the body. */
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

  /** The answer that the tap was for is not given. */
  untap(): void {
    this.#tap?.abort();
    this.#tap = null;
  }

  /**
   * Makes the head that of an answer of the gateway's own; returns its body. Throws a `TypeError` for a field that
   * is not valid, before anything is changed.
   */
  fillIn(answer: Answer, method: string): string | Buffer {
    const body = contentOf(answer);
    const length = typeof body === "string" ? Buffer.byteLength(body) : body.length;
    this.#head.own(answer, length, method);
    return body;
  }

  /** The head, and the whole body as latin1 text. */
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

  /** The head that was filled in, and this body of the gateway's own. */
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

  /** A whole body. The tap may end the exchange at any of these calls, and then hears of no other. */
  #sendTapped(tap: TapLine, body: Buffer): void {
    this.#deadlines.awaitTap();
    this.#begin(tap);
    if (body.length > 0) tap.take(body);
    tap.finish();
  }

  /** The body follows; `isFollowed`: the first piece of it right after this call. */
  sendHead(isFollowed: boolean): void {
    if (this.#tap === null) this.#downstream.sendHead(this.#head, isFollowed);
    else this.#begin(this.#tap);
  }

  /** A piece of the body. */
  take(piece: Buffer): void {
    const hasRoom = this.#tap === null ? this.#send(piece) : this.#tap.take(piece);
    if (hasRoom) return;
    this.#owner.onAnswerFull();
    if (!this.isClientFull) this.#deadlines.awaitTap();
  }

  /** The body is whole. `trailer`: what of its trailer may be passed on. */
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

  /** What has no body is not tapped; the length that it would have is not known any more. */
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
    // Not the tap's delay.
    if (this.#tap !== null) this.#deadlines.peer = 0;
    return false;
  }

  #finish(): void {
    this.#downstream.sendEnd(this.#trailer);
    this.#owner.onAnswered();
  }
}
