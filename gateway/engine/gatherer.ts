/**
 * Lists of bytes that wait. A buffer costs more than a hundred bytes besides its content, and keeps everything in memory
 * that was read together with it. Whoever sends bytes one by one would so make the gateway keep a hundred times as much,
 * so small pieces are copied together.
 */

/** From this size on, a piece stays as it is. */
const largeBytes = 1_024;
/** The first block is small, because most lists never need another. */
const firstBlockBytes = 512;
const mostBlockBytes = 16_384;

/** Adds pieces to one list, from whose front others may take them. */
export class Gatherer {
  #block: Buffer | null = null;
  /** The piece that was made last, where it begins in the block, and where the next one goes. */
  #last: Buffer | null = null;
  #from = 0;
  #end = 0;

  add(pieces: Buffer[], piece: Buffer): void {
    // The first one stays as it is too: mostly it is the only one.
    if (pieces.length === 0 || piece.length >= largeBytes) {
      pieces.push(piece);
      return;
    }
    const block = this.#blockFor(piece.length);
    // What was taken from the list may still be read elsewhere, and is never written again.
    if (this.#last !== null && pieces[pieces.length - 1] === this.#last) pieces.pop();
    else this.#from = this.#end;
    this.#end += piece.copy(block, this.#end);
    this.#last = block.subarray(this.#from, this.#end);
    pieces.push(this.#last);
  }

  #blockFor(bytes: number): Buffer {
    const block = this.#block;
    if (block !== null && block.length - this.#end >= bytes) return block;
    const usual = block === null ? firstBlockBytes : Math.min(mostBlockBytes, 2 * block.length);
    this.#block = Buffer.allocUnsafeSlow(Math.max(usual, bytes));
    this.#last = null;
    this.#end = 0;
    return this.#block;
  }
}
