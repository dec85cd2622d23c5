/**
 * What one connection writes: frames in their order, and content in turns of its streams, as far as the windows and
 * the socket have room. An idle connection has no buffer.
 */
import type { Duplex } from "node:stream";
import type { FrameWriter } from "./frame-writer.ts";
import { initialWindowBytes } from "./frames.ts";
import type { Flushable, WriteTurn } from "./write-turn.ts";

/** A stream with content to send. */
export interface Sender {
  /** Whether it is in the list. */
  isQueued: boolean;
  /** Writes one frame. */
  sendNext(): void;
}

/** Bytes that may wait in the socket before content has to wait in its stream. */
const roomBytes = 262_144;
/** Up to this size, content is copied behind its frame's header, and bytes for a socket that writes them later are. */
const copiedBytes = 4_096;

export class Outlet implements Flushable {
  /** What the connection's window has room for. */
  window: number = initialWindowBytes;
  readonly #socket: Duplex;
  readonly #turn: WriteTurn;
  /** Whether the socket writes at a later time whatever it is given: TLS does. */
  readonly #isDeferred: boolean;
  #writer: FrameWriter | null = null;
  /** Content that is too large to be copied, and where in the writer it belongs. */
  readonly #pieces: Buffer[] = [];
  readonly #places: number[] = [];
  #pieceBytes = 0;
  #senders: Sender[] = [];
  #isWaiting = false;
  #isFlushing = false;
  #isBatching = false;
  #isEnding = false;

  constructor(socket: Duplex, turn: WriteTurn, isDeferred: boolean) {
    this.#socket = socket;
    this.#turn = turn;
    this.#isDeferred = isDeferred;
  }

  /** Where to write frames. They leave at the end of this turn. */
  get out(): FrameWriter {
    if (this.#writer === null) {
      this.#writer = this.#turn.borrow();
      this.#flushLater();
    }
    return this.#writer;
  }

  get hasRoom(): boolean {
    const own = this.#pieceBytes + (this.#writer?.end ?? 0);
    return this.#socket.writableLength + own < roomBytes;
  }

  /** Writes content behind what `out` has so far. */
  content(piece: Buffer, from: number, to: number): void {
    const { out } = this;
    if (to - from <= copiedBytes) {
      out.bytes(piece, from, to);
      return;
    }
    this.#pieces.push(piece.subarray(from, to));
    this.#places.push(out.end);
    this.#pieceBytes += to - from;
  }

  queue(sender: Sender): void {
    if (sender.isQueued) return;
    sender.isQueued = true;
    this.#senders.push(sender);
    this.#flushLater();
  }

  /** The sender has nothing to send any more. */
  unqueue(sender: Sender): void {
    if (!sender.isQueued) return;
    sender.isQueued = false;
    this.#senders.splice(this.#senders.indexOf(sender), 1);
  }

  openWindow(bytes: number): void {
    this.window += bytes;
    if (this.#maySend) this.#flushLater();
  }

  /** Until `endBatch`, everything is collected. */
  beginBatch(): void {
    this.#isBatching = true;
  }

  endBatch(): void {
    this.#isBatching = false;
    this.flush();
  }

  flush(): void {
    this.#isWaiting = false;
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    do {
      this.#takeTurns();
      this.#write();
    } while (this.#maySend && this.hasRoom);
    this.#isFlushing = false;
    if (this.#isEnding) this.#socket.end();
  }

  /** Ends the socket's side once the frames are written. No content waits, and none follows. */
  end(): void {
    this.#isEnding = true;
    this.flush();
  }

  /** Nothing more can be written. */
  close(): void {
    this.#senders = [];
    this.#forgetPieces();
    if (this.#writer === null) return;
    this.#turn.giveBack(this.#writer);
    this.#writer = null;
  }

  get #maySend(): boolean {
    return this.#senders.length > 0 && this.window > 0;
  }

  #flushLater(): void {
    if (this.#isWaiting || this.#isBatching || this.#isFlushing) return;
    this.#isWaiting = true;
    this.#turn.add(this);
  }

  #takeTurns(): void {
    while (this.#maySend && this.hasRoom) {
      const sender = this.#senders.shift();
      if (sender === undefined) return;
      sender.isQueued = false;
      sender.sendNext();
    }
  }

  #write(): void {
    const writer = this.#writer;
    if (writer === null) return;
    this.#writer = null;
    if (!this.#socket.destroyed) {
      if (this.#pieces.length > 0) this.#writePieces(writer);
      else if (writer.end > 0) this.#writeFrames(writer);
    }
    this.#forgetPieces();
    this.#turn.giveBack(writer);
  }

  #writeFrames(writer: FrameWriter): void {
    const socket = this.#socket;
    const isLater = this.#isDeferred || socket.writableLength > 0;
    if (isLater && writer.end <= copiedBytes) {
      socket.write(writer.copy());
      return;
    }
    socket.write(writer.buffer.subarray(0, writer.end));
    // The socket reads the buffer until it has written everything.
    if (socket.writableLength > 0) writer.detach();
  }

  /** Writes frames and the content between them by one system call. */
  #writePieces(writer: FrameWriter): void {
    const socket = this.#socket;
    const frames = writer.copy();
    let from = 0;
    socket.cork();
    for (const [index, piece] of this.#pieces.entries()) {
      const to = this.#places[index] ?? from;
      if (to > from) socket.write(frames.subarray(from, to));
      socket.write(piece);
      from = to;
    }
    if (from < frames.length) socket.write(frames.subarray(from));
    socket.uncork();
  }

  #forgetPieces(): void {
    this.#pieces.length = 0;
    this.#places.length = 0;
    this.#pieceBytes = 0;
  }
}
