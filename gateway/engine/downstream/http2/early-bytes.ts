/**
 * What a client sent for another protocol before the peer agreed to it. The stream's window bounds it. It is copied:
 * many small frames would otherwise each keep an object.
 */
export class EarlyBytes {
  /** Whether the client has ended its side. */
  hasEnded: boolean;
  #buffer: Buffer | null = null;
  #length = 0;

  constructor(hasEnded: boolean) {
    this.hasEnded = hasEnded;
  }

  add(buffer: Buffer, from: number, to: number): void {
    const length = this.#length + to - from;
    let room = this.#buffer;
    if (room === null || room.length < length) {
      const larger = Buffer.allocUnsafe(Math.max(length, 2 * this.#length));
      room?.copy(larger, 0, 0, this.#length);
      room = larger;
      this.#buffer = larger;
    }
    buffer.copy(room, this.#length, from, to);
    this.#length = length;
  }

  /** `null`: none came. */
  get bytes(): Buffer | null {
    return this.#buffer?.subarray(0, this.#length) ?? null;
  }
}
