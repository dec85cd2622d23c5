/**
 * Collects what the connections of one engine produce in one turn of the event loop, so that each writes once, and
 * lends them the buffers for it.
 */
import { FrameWriter } from "./frame-writer.ts";

/** How many writers are kept for reuse. */
const maxKept = 64;

/** A connection that has something to write. */
export interface Flushable {
  flush(): void;
}

export class WriteTurn {
  #waiting: Flushable[] = [];
  #spare: Flushable[] = [];
  readonly #writers: FrameWriter[] = [];
  readonly #onTurnEnd = () => this.#flush();

  /** Flushes the connection when what is being read now from all sockets has been handled. */
  add(connection: Flushable): void {
    if (this.#waiting.length === 0) setImmediate(this.#onTurnEnd);
    this.#waiting.push(connection);
  }

  borrow(): FrameWriter {
    return this.#writers.pop() ?? new FrameWriter();
  }

  giveBack(writer: FrameWriter): void {
    writer.clear();
    if (this.#writers.length < maxKept) this.#writers.push(writer);
  }

  #flush(): void {
    const waiting = this.#waiting;
    // What flushing produces belongs to the next turn.
    this.#waiting = this.#spare;
    for (const connection of waiting) connection.flush();
    waiting.length = 0;
    this.#spare = waiting;
  }
}
