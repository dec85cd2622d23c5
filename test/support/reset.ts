import type { ClientSocket } from "./client.ts";

/**
 * Resets a connection. One whose end is still being written is closed instead: Node refuses to reset it
 * (EINVAL), never closes its handle, and then does not end.
 */
export function reset(socket: ClientSocket): void {
  if (socket.writableEnded && !socket.writableFinished) socket.destroy();
  else socket.resetAndDestroy();
}
