/**
 * A tap stands in the way of a body: it takes pieces as they come and gives others, at once or later. It is made
 * for streaming transforms such as those in `node:zlib`.
 */

/** What a phase puts in the way of a body. One object serves one body. */
export interface BodyTap {
  /** Called once, before anything else. `out` takes the tapped body. */
  begin(out: TapOutput): void;
  /** A piece of the body, never empty; the tap may keep it. Return false to get no other before `out.resume()`. */
  write(piece: Buffer): boolean;
  /** The body is complete; the tap has to call `out.end()` in the end. */
  end(): void;
  /** There is room again, after `out.write` returned false. */
  onDrain(): void;
  /** The exchange ended before `out.end()`, and nobody wants the body any more. No call follows. */
  abort(): void;
}

/** Takes the tap's own pieces. Calls after the end of the exchange do nothing. */
export interface TapOutput {
  /**
   * Passes the piece on at once; an empty one is skipped. Returns false when there is no room; `onDrain` follows.
   */
  write(piece: Buffer): boolean;
  /** The tap takes pieces again, after its `write` returned false. */
  resume(): void;
  /** The tapped body is complete. The engine adds the message's trailers by itself. */
  end(): void;
  /**
   * The body cannot be passed on. A client that has no answer yet gets this one; otherwise the message is cut off.
   * `code` becomes the exchange's error code.
   */
  fail(status: number, code: string, message: string): void;
}
