/** Connections to peers. Both engines make theirs here, so that both refuse the same places. */
import { connect, type Socket } from "node:net";
import type { Peer } from "../peer.ts";

/**
 * Begins to connect. A connection that reached a place which `forbids` names is destroyed with an error before
 * anything is written to it: only then it is known what the peer's name meant.
 */
export function connectTo(
  { host, port, key }: Peer,
  forbids: (address: string, port: number) => string | null,
): Socket {
  const socket = connect({ host, port, noDelay: true });
  socket.once("connect", () => {
    const what = forbids(socket.remoteAddress ?? host, port);
    if (what !== null) socket.destroy(new Error(`${what} is at ${key}, which is never a peer`));
  });
  return socket;
}
