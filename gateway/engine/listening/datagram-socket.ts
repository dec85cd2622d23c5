/**
 * Binds a datagram socket for another process. Node reads from every socket that it binds and has no public way to
 * stop, so datagrams that this process read would be lost to the process that the socket is for.
 */
import type { Socket } from "node:dgram";

interface Readable {
  readonly recvStop: () => number;
}

/**
 * Makes Node stop reading: from now on datagrams stay in the socket's queue. Throws when Node's sockets have changed
 * inside.
 */
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
