/** Writes a piece of a body as a chunk of its own (RFC 9112 section 7.1), to clients and to peers. */
import type { Socket } from "node:net";

/** `piece` is never empty. Returns false when the socket has no room; its `drain` event follows. */
export function writeChunk(socket: Socket, piece: Buffer): boolean {
  socket.cork();
  socket.write(`${piece.length.toString(16)}\r\n`, "latin1");
  socket.write(piece);
  const hasRoom = socket.write("\r\n", "latin1");
  socket.uncork();
  return hasRoom;
}
