/** The part of a request's body that is kept, so that it can be sent to a peer, or to another one. */

/** Up to here a body is kept until the answer begins; a larger one goes to one peer only. */
const maxHeldBytes = 65_536;

export class HeldBody {
  readonly pieces: Buffer[] = [];
  #bytes = 0;
  /** Whether `pieces` are the whole body so far. */
  isWhole = true;

  reset(): void {
    this.pieces.length = 0;
    this.#bytes = 0;
    this.isWhole = true;
  }

  push(piece: Buffer): void {
    this.pieces.push(piece);
    this.#bytes += piece.length;
  }

  get isFull(): boolean {
    return this.#bytes > maxHeldBytes;
  }

  /** Not needed for another try any more. */
  letGo(): void {
    this.isWhole = false;
    this.pieces.length = 0;
    this.#bytes = 0;
  }
}
