/**
 * Decides whether bytes are read from a socket now. They are not while their receiver has no room, or when it is
 * the other sockets' turn.
 */
import type { Socket } from "node:net";

/** Bytes of a body that are read from one socket before the others get their turn. */
const turnBytes = 65_536;

export class Reading {
  readonly #socket: Socket;
  #isHeld = false;
  #isYielding = false;
  /** Bytes read in this turn. */
  #bytes = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** Not read before `release`. */
  hold(): void {
    this.#isHeld = true;
    this.#socket.pause();
  }

  release(): void {
    this.#isHeld = false;
    if (!this.#isYielding) this.#socket.resume();
  }

  /**
   * Counts bytes of a body, and after so many lets the other sockets be read. libuv reads a socket that always has
   * more up to 32 times before it looks at another one: 200 large answers that began at once held up a small one
   * for 1.5 s; with turns it is 0.1 s.
   */
  count(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < turnBytes || this.#isYielding) return;
    this.#isYielding = true;
    this.#socket.pause();
    setImmediate(() => {
      this.#isYielding = false;
      this.#bytes = 0;
      if (!this.#isHeld) this.#socket.resume();
    });
  }
}
