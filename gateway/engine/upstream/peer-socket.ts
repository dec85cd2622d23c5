/** Connections to peers. Both engines make theirs here, so that both refuse the same addresses. */
import { connect, Socket } from "node:net";
import type { PeerFailure } from "../engine.ts";
import type { Peer } from "../peer.ts";
import type { PeerTls } from "../target.ts";
import { connectFailure, handshakeFailure } from "./connect-failure.ts";
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
    else if (tls !== null) room.handshakeBegins(socket);
  });
  return socket;
}

/**
 * Why a socket from `connectTo` was closed before it could be used. `error`: what the socket emitted; `null`: nothing.
 */
export function whyUnusable(
  { tls: room }: Pick<PeerHost, "tls">,
  { key }: Peer,
  socket: Socket,
  error: Error | null,
): PeerFailure {
  return room.isHandshaking(socket) ? handshakeFailure(key, error) : connectFailure(key, error);
}

/** Why a socket from `connectTo` cannot be used yet, although its time is over. */
export function whyLate(
  { tls: room }: Pick<PeerHost, "tls">,
  { key }: Peer,
  socket: Socket,
): PeerFailure {
  const message = room.isHandshaking(socket)
    ? `no end of the TLS handshake with ${key} in time (see the upstream's \`tls\`)`
    : `no connection to ${key} in time`;
  return { code: "connect_timeout", message };
}

function secured(room: PeerTlsRoom, peer: Peer, tls: PeerTls, alpn: PeerAlpn): Socket {
  try {
    return room.connect(peer, tls, alpn);
  } catch (error) {
    // The caller hears of it in a later turn, like any failure to connect.
    return new Socket().destroy(error instanceof Error ? error : new Error(String(error)));
  }
}
