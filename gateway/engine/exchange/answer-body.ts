/**
 * An answer's body on its way to the client: through a tap if there is one, held back where the client has no
 * room.
 */
import type { BodyTap } from "../tap.ts";
import type { Deadlines } from "./deadlines.ts";
import type { Downstream } from "./ports.ts";
import { TapLine } from "./tap-line.ts";

/** The exchange, as its answer's body sees it. */
export interface AnswerBodyOwner {
  onSent(bytes: number): void;
  /** The client has no room, and the peer is to wait. */
  pausePeer(): void;
  resumePeer(): void;
  /** The client has been given the whole answer. */
  onAnswerSent(): void;
  onTapFailed(status: number, code: string, message: string): void;
  onTapThrew(error: unknown): void;
}

export class AnswerBody {
  /** Whether the client has to take what was written before it gets more. */
  isClientFull = false;
  readonly #downstream: Downstream;
  readonly #deadlines: Deadlines;
  readonly #owner: AnswerBodyOwner;
  #tap: TapLine | null = null;
  /** Field lines that are passed on behind it. */
  #trailer = "";

  constructor(downstream: Downstream, deadlines: Deadlines, owner: AnswerBodyOwner) {
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
      onTapRoom: () => this.#owner.resumePeer(),
      onTapEnd: () => this.#finish(),
      onTapFailed: (status, code, message) => this.#owner.onTapFailed(status, code, message),
      onTapThrew: (error) => this.#owner.onTapThrew(error),
    });
  }

  /** The answer is not passed on: its tap goes with it. */
  untap(): void {
    this.#tap?.abort();
    this.#tap = null;
  }

  /** The answer's head is out: its body follows. */
  begin(): void {
    this.#tap?.begin();
  }

  /** A piece of the peer's. */
  take(piece: Buffer): void {
    const hasRoom = this.#tap === null ? this.#send(piece) : this.#tap.take(piece);
    if (!hasRoom) this.#owner.pausePeer();
  }

  /** The peer has sent all of it. `trailer`: what of its trailer may be passed on. */
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
    if (this.#tap === null) this.#owner.resumePeer();
    else this.#tap.onDrain();
  }

  /** The exchange is over. */
  reset(): void {
    this.isClientFull = false;
    this.#trailer = "";
    if (this.#tap !== null) this.untap();
  }

  #send(piece: Buffer): boolean {
    this.#owner.onSent(piece.length);
    if (this.#downstream.sendData(piece)) return true;
    this.isClientFull = true;
    this.#deadlines.awaitTaking();
    return false;
  }

  #finish(): void {
    this.#downstream.sendEnd(this.#trailer);
    this.#owner.onAnswerSent();
  }
}
