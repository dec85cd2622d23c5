/**
 * A bound socket for datagrams that its process does not read. Node reads from each that it binds, and has no
 * public way to stop; what this process read would be lost to the one that the socket is for.
 */
import type { Socket } from "node:dgram";

interface Readable {
  readonly recvStop: () => number;
}

/** What comes from now on stays in the socket's queue. Throws when Node's sockets are not as they were. */
export function stopReceiving(socket: Socket): void {
  for (const key of Object.getOwnPropertySymbols(socket)) {
    const state: unknown = Reflect.get(socket, key);
    if (typeof state !== "object" || state === null || !("handle" in state)) continue;
    const { handle } = state;
    if (!isReadable(handle)) continue;
    handle.recvStop();
    return;
  }
  throw new Error("Node's socket for datagrams has no handle that can stop reading");
}

function isReadable(handle: unknown): handle is Readable {
  return (
    typeof handle === "object" &&
    handle !== null &&
    "recvStop" in handle &&
    typeof handle.recvStop === "function"
  );
}
