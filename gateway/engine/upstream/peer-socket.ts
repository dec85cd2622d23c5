/** Connections to peers. Both engines make theirs here, so that both refuse the same addresses. */
import { connect, Socket } from "node:net";
import type { Peer } from "../peer.ts";
import type { PeerTls } from "../target.ts";
import type { PeerAlpn, PeerTlsRoom } from "./peer-tls.ts";
import type { PeerHost } from "./pooled.ts";

/**
 * Begins to connect, over TLS unless `tls` is `null`. Only the connected socket shows which address the peer's name
 * meant; if `forbids` names that address, the socket is destroyed with an error before a request is written.
 */
export function connectTo(
  peer: Peer,
  { forbids, tls: room }: Pick<PeerHost, "forbids" | "tls">,
  tls: PeerTls | null,
  alpn: PeerAlpn,
): Socket {
  const { host, port, key } = peer;
  const socket =
    tls === null ? connect({ host, port, noDelay: true }) : secured(room, peer, tls, alpn);
  socket.once("connect", () => {
    const what = forbids(socket.remoteAddress ?? host, port);
    if (what !== null) socket.destroy(new Error(`${what} is at ${key}, which is never a peer`));
  });
  return socket;
}

function secured(room: PeerTlsRoom, peer: Peer, tls: PeerTls, alpn: PeerAlpn): Socket {
  try {
    return room.connect(peer, tls, alpn);
  } catch (error) {
    // The caller hears of it in a later turn, like any failure to connect.
    return new Socket().destroy(error instanceof Error ? error : new Error(String(error)));
  }
}
