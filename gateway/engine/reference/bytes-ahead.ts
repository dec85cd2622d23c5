/**
 * What a client sends behind the head of an upgrade, kept as long as it belongs to nobody: not yet to a
 * tunnel, and no more to `node:http`, which has let go of the socket.
 */
import type { Socket } from "node:net";

/** Beyond it the client is not read. */
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

  /** From the first byte until `take`. */
  get isKeeping(): boolean {
    return this.#pieces !== null;
  }

  /** `first` came along with the head. */
  begin(first: Buffer): void {
    this.#pieces = first.length > 0 ? [first] : [];
    this.#length = first.length;
    this.#socket.on("data", this.#keep);
  }

  /** From here on somebody else reads the socket. */
  stop(): void {
    this.#socket.off("data", this.#keep);
  }

  /** All that was kept. */
  take(): Buffer {
    const all = Buffer.concat(this.#pieces ?? []);
    this.#pieces = null;
    return all;
  }

  /** Puts what was kept back into the socket, which is paused then. */
  giveBack(): void {
    this.stop();
    this.#socket.pause();
    const all = this.take();
    if (all.length > 0) this.#socket.unshift(all);
  }
}
