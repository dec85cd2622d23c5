/**
 * One body on its way through a tap. It keeps what comes while the tap has no room, tells the tap of each end only
 * once, and lets nothing that the tap does late reach an exchange that is over.
 */
import { Gatherer } from "../gatherer.ts";
import type { BodyTap, TapOutput } from "../tap.ts";

/** The part of the exchange that the tapped body goes to. */
export interface TapSide {
  /** A piece from the tap. Returns false when there is no room before `TapLine.onDrain`. */
  onTapped(piece: Buffer): boolean;
  /** The tap takes pieces again. */
  onTapRoom(): void;
  onTapEnd(): void;
  onTapFailed(status: number, code: string, message: string): void;
  /** The tap threw. */
  onTapThrew(error: unknown): void;
}

export class TapLine implements TapOutput {
  readonly #tap: BodyTap;
  readonly #side: TapSide;
  /** What came while the tap had no room. */
  readonly #queue: Buffer[] = [];
  readonly #gatherer = new Gatherer();
  #isFull = false;
  #isHeldBack = false;
  /** The body is complete; the tap is told so once it has taken the queue. */
  #isEnding = false;
  /** True before the tap has begun and after it has ended. */
  #isOver = true;

  constructor(tap: BodyTap, side: TapSide) {
    this.#tap = tap;
    this.#side = side;
  }

  // Called by the exchange.

  begin(): void {
    this.#isOver = false;
    this.#call(() => this.#tap.begin(this));
  }

  /** Whether the tap has no room. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Whether the tap was told to stop giving pieces for now. */
  get isHeldBack(): boolean {
    return this.#isHeldBack;
  }

  /** Takes the piece in any case. Returns false when there is no room for more before `TapSide.onTapRoom`. */
  take(piece: Buffer): boolean {
    if (this.#isOver) return true;
    if (this.#isFull) this.#gatherer.add(this.#queue, piece);
    else this.#give(piece);
    return !this.#isFull;
  }

  /** The body is whole. */
  finish(): void {
    if (this.#isOver) return;
    if (this.#isFull) this.#isEnding = true;
    else this.#call(() => this.#tap.end());
  }

  onDrain(): void {
    if (this.#isOver || !this.#isHeldBack) return;
    this.#isHeldBack = false;
    this.#call(() => this.#tap.onDrain());
  }

  /** The exchange is over. */
  abort(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#queue.length = 0;
    this.#call(() => this.#tap.abort());
  }

  // Called by the tap.

  write(piece: Buffer): boolean {
    if (this.#isOver || piece.length === 0) return true;
    this.#isHeldBack = !this.#side.onTapped(piece);
    return !this.#isHeldBack;
  }

  resume(): void {
    if (this.#isOver || !this.#isFull) return;
    this.#isFull = false;
    while (!this.#isFull && !this.#isOver) {
      const next = this.#queue.shift();
      if (next === undefined) break;
      this.#give(next);
    }
    if (this.#isFull || this.#isOver) return;
    if (this.#isEnding) this.#call(() => this.#tap.end());
    else this.#side.onTapRoom();
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#side.onTapEnd();
  }

  fail(status: number, code: string, message: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#side.onTapFailed(status, code, message);
  }

  #give(piece: Buffer): void {
    this.#call(() => {
      if (!this.#tap.write(piece)) this.#isFull = true;
    });
  }

  #call(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#isOver = true;
      this.#side.onTapThrew(error);
    }
  }
}
