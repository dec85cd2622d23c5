/**
 * Keeps what a client sends after the head of an upgrade until it has a reader: a tunnel, or `node:http` again, which
 * has let go of the socket.
 */
import type { Socket } from "node:net";

/** When more is kept, the client is not read. */
const maxAheadBytes = 65_536;

export class BytesAhead {
  readonly #socket: Socket;
  #pieces: Buffer[] | null = null;
  #length = 0;
  readonly #keep = (piece: Buffer) => {
    if (this.#pieces === null) return;
    this.#pieces.push(piece);
    this.#length += piece.length;
    if (this.#length > maxAheadBytes) this.#socket.pause();
  };

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** True from `begin` until `take`. */
  get isKeeping(): boolean {
    return this.#pieces !== null;
  }

  /** `first` came together with the head. */
  begin(first: Buffer): void {
    this.#pieces = first.length > 0 ? [first] : [];
    this.#length = first.length;
    this.#socket.on("data", this.#keep);
  }

  /** Stops keeping: from here on something else reads the socket. */
  stop(): void {
    this.#socket.off("data", this.#keep);
  }

  /** Returns everything that was kept. */
  take(): Buffer {
    const all = Buffer.concat(this.#pieces ?? []);
    this.#pieces = null;
    return all;
  }

  /** Puts what was kept back into the socket, and leaves it paused. */
  giveBack(): void {
    this.stop();
    this.#socket.pause();
    const all = this.take();
    if (all.length > 0) this.#socket.unshift(all);
  }
}
