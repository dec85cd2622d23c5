/**
 * Connections to peers over TLS: their secure contexts, and the sessions that the next connection to the same peer
 * resumes.
 */
import { createHash } from "node:crypto";
import type { Socket } from "node:net";
import { connect, createSecureContext, type SecureContext, type TLSSocket } from "node:tls";
import type { Peer } from "../peer.ts";
import type { Below } from "../record-watch.ts";
import type { PeerTls } from "../target.ts";
import type { KeyPair } from "../tls.ts";

/** What is agreed on by ALPN; `null`: nothing, for protocols without a name there. */
export type PeerAlpn = "h2" | "http/1.1" | null;

/** What the names in `PeerTls` stand for now; `null`: nothing has that name. */
export interface PeerMaterials {
  authorities(name: string): string | null;
  pair(name: string): KeyPair | null;
}

interface Made {
  /** A digest of everything the context was made from. */
  readonly id: string;
  readonly context: SecureContext;
  readonly sessions: WeakMap<Peer, Buffer>;
}

/** A connection that Node made, and its handle below TLS (`lib/internal/tls/wrap.js`). */
type WrappedSocket = TLSSocket & { readonly _handle?: { readonly _parent?: Below } };

const maxContexts = 1_000;

export class PeerTlsRoom {
  readonly #materials: PeerMaterials;
  readonly #onSecure: (socket: TLSSocket, peer: Peer, below: Below) => void;
  /** Keyed by what the upstream says (`peerTlsId`). */
  readonly #made = new Map<string, Made>();
  readonly #handshaking = new WeakSet<Socket>();

  /** `onSecure` is called after each handshake; `below` counts what comes from the network. */
  constructor(
    materials: PeerMaterials,
    onSecure: (socket: TLSSocket, peer: Peer, below: Below) => void = () => {},
  ) {
    this.#materials = materials;
    this.#onSecure = onSecure;
  }

  /**
   * Begins to connect. The socket may be used after `secureConnect`. Throws when a named authority or certificate
   * is missing.
   */
  connect(peer: Peer, tls: PeerTls, alpn: PeerAlpn): TLSSocket {
    const { context, sessions } = this.#contextOf(tls);
    const session = sessions.get(peer);
    const socket: WrappedSocket = connect({
      host: peer.host,
      port: peer.port,
      secureContext: context,
      rejectUnauthorized: !tls.isInsecure,
      ...(alpn === null ? {} : { ALPNProtocols: [alpn] }),
      ...(tls.serverName === null ? {} : { servername: tls.serverName }),
      ...(session === undefined ? {} : { session }),
    });
    socket.setNoDelay(true);
    socket.on("session", (fresh) => sessions.set(peer, fresh));
    // A session that the peer may have rejected must not be offered again.
    socket.once("error", () => sessions.delete(peer));
    socket.once("secureConnect", () => {
      const below = socket._handle?._parent;
      if (below !== undefined) this.#onSecure(socket, peer, below);
    });
    if (alpn === "h2") {
      socket.once("secureConnect", () => {
        if (socket.alpnProtocol !== "h2")
          socket.destroy(
            new Error("it does not speak HTTP/2 over TLS, as the upstream's `protocol` says"),
          );
      });
    }
    return socket;
  }

  /** The socket's peer has accepted the connection, and the handshake begins. */
  handshakeBegins(socket: Socket): void {
    this.#handshaking.add(socket);
    socket.once("secureConnect", () => this.#handshaking.delete(socket));
  }

  /** Whether the socket's handshake has begun and not succeeded. */
  isHandshaking(socket: Socket): boolean {
    return this.#handshaking.has(socket);
  }

  #contextOf(tls: PeerTls): Made {
    const { authorities, certificate } = tls;
    const ca = authorities === null ? null : this.#materials.authorities(authorities);
    if (authorities !== null && ca === null)
      throw new Error(`there are no authorities ${authorities}`);
    const pair = certificate === null ? null : this.#materials.pair(certificate);
    if (certificate !== null && pair === null)
      throw new Error(`there is no certificate ${certificate}`);
    const key = peerTlsId(tls);
    const id = ca === null && pair === null ? "" : idOf([ca ?? "", pair?.chain ?? ""]);
    const known = this.#made.get(key);
    if (known?.id === id) return known;
    const context = createSecureContext({
      ...(ca === null ? {} : { ca }),
      ...(pair === null ? {} : { cert: pair.chain, key: pair.key }),
      minVersion: "TLSv1.2",
    });
    if (this.#made.size >= maxContexts) this.#made.clear();
    const made = { id, context, sessions: new WeakMap<Peer, Buffer>() };
    this.#made.set(key, made);
    return made;
  }
}

/** Equal for targets that may use each other's connections. */
export function peerTlsId({ serverName, authorities, certificate, isInsecure }: PeerTls): string {
  return JSON.stringify([serverName, authorities, certificate, isInsecure]);
}

function idOf(texts: readonly string[]): string {
  const hash = createHash("sha256");
  for (const text of texts) hash.update(text).update("\0");
  return hash.digest("base64");
}
