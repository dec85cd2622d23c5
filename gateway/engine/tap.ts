/**
 * A tap stands in the way of a body: it takes the pieces as they come and gives others, now or later. Made for
 * streaming transforms such as those of `node:zlib`.
 */

/** What a phase puts in the way of a body. One object serves one body. */
export interface BodyTap {
  /** Called once, before anything else. `out`: where the tapped body goes. */
  begin(out: TapOutput): void;
  /** A piece of the body, never empty; the tap may keep it. False: no other before `out.resume()`. */
  write(piece: Buffer): boolean;
  /** The body is whole; `out.end()` is to follow. */
  end(): void;
  /** There is room again, after `out.write` returned false. */
  onDrain(): void;
  /** Nothing is wanted any more: the exchange ended before `out.end()`. Nothing else is called after it. */
  abort(): void;
}

/** Where a tap's own pieces go. Calls that come when the exchange is over do nothing. */
export interface TapOutput {
  /** The piece goes on at once; an empty one is left out. False: no room, and `onDrain` follows. */
  write(piece: Buffer): boolean;
  /** The tap takes pieces again, after its `write` returned false. */
  resume(): void;
  /** The tapped body is whole; trailers of the message follow it by themselves. */
  end(): void;
  /**
   * The body cannot be passed on. A client that has no answer yet gets this one; otherwise the message is cut
   * off, and `code` is the exchange's error code.
   */
  fail(status: number, code: string, message: string): void;
}
