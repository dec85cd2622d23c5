/**
 * Serves TLS to the connections that share certificates. It uses `node:tls` servers that never listen, one for each
 * session ticket key that is still valid, and makes each when it is first needed.
 */
import { constants, createHash } from "node:crypto";
import type { Socket } from "node:net";
import { createServer, type Server, type TLSSocket, type TlsOptions } from "node:tls";
import type { ClientAuthorities, KeyPair, TlsProfile } from "../tls.ts";

/**
 * Session ticket keys, 48 bytes each in base64, the newest first. The newest seals new tickets; a client that brings
 * a ticket under an older one is still resumed.
 */
export type TicketKeys = readonly string[];

export interface EndpointOptions {
  /** At most one pair for each kind of key: the client's capabilities decide which is used. */
  readonly pairs: readonly KeyPair[];
  readonly profile: TlsProfile;
  /** The protocols to offer behind TLS, the preferred one first. */
  readonly protocols: readonly string[];
  readonly tickets: () => TicketKeys;
  /** `null`: clients are not asked for certificates. */
  readonly clients: ClientAuthorities | null;
  /** Sessions are resumed only between endpoints with the same identity. */
  readonly identity: string;
}

/** Told how the handshake ends. */
export interface HandshakeEvents {
  onSecure(socket: TLSSocket): void;
  onTlsFailure(error: Error & { readonly code?: string }): void;
}

/** Mozilla's list without finite-field Diffie-Hellman, which costs a server far more than a client. */
const intermediateCiphers = [
  ...["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"],
  ...["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"],
  ...["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384"],
  ...["ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305"],
].join(":");
const modernCiphers = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
const groups = "X25519MLKEM768:X25519:prime256v1:secp384r1";
/** How long a ticket is valid, as long as its key is. */
const sessionSeconds = 43_200;

/** A TLS socket and the one below it, by which the arrival is found (Node's `lib/internal/tls/wrap.js`). */
type LayeredSocket = TLSSocket & { readonly _parent?: Socket };

export class TlsEndpoint {
  readonly #options: EndpointOptions;
  /** Keyed by the name of the key that seals their tickets. */
  readonly #servers = new Map<string, Server>();
  #keys: TicketKeys = [];
  readonly #arriving = new WeakMap<Socket, HandshakeEvents>();

  constructor(options: EndpointOptions) {
    this.#options = options;
    // Finds out now, and not with the first client, whether OpenSSL refuses the certificates.
    this.#serverFor("");
  }

  get asksForCertificate(): boolean {
    return this.#options.clients !== null;
  }

  /**
   * Begins the handshake on a socket into which the bytes read so far were put back. `ticketName`: from the hello.
   */
  begin(socket: Socket, ticketName: string, events: HandshakeEvents): void {
    this.#arriving.set(socket, events);
    this.#serverFor(ticketName).emit("connection", socket);
  }

  #serverFor(ticketName: string): Server {
    const keys = this.#options.tickets();
    if (keys !== this.#keys) {
      this.#keys = keys;
      const names = new Set(keys.map(nameOfTicketKey));
      for (const name of this.#servers.keys()) if (!names.has(name)) this.#servers.delete(name);
    }
    const key = keys.find((each) => nameOfTicketKey(each) === ticketName) ?? keys[0] ?? "";
    const name = key === "" ? "" : nameOfTicketKey(key);
    const known = this.#servers.get(name);
    if (known !== undefined) return known;
    const server = this.#create(key);
    this.#servers.set(name, server);
    return server;
  }

  #create(ticketKey: string): Server {
    const { pairs, profile, protocols, clients, identity } = this.#options;
    const options: TlsOptions = {
      cert: pairs.map(({ chain }) => chain),
      key: pairs.map(({ key }) => key),
      minVersion: profile === "modern" ? "TLSv1.3" : "TLSv1.2",
      maxVersion: "TLSv1.3",
      ciphers: profile === "modern" ? modernCiphers : intermediateCiphers,
      ecdhCurve: groups,
      honorCipherOrder: false,
      // A client could have the gateway pay for one handshake after the other on a single connection.
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
      ALPNProtocols: [...protocols],
      sessionTimeout: sessionSeconds,
      sessionIdContext: createHash("sha256").update(identity).digest("hex").slice(0, 32),
      requestCert: clients !== null,
      rejectUnauthorized: clients?.isRequired ?? false,
      ...(clients === null ? {} : { ca: clients.authorities }),
      ...(ticketKey === "" ? {} : { ticketKeys: Buffer.from(ticketKey, "base64") }),
    };
    const server = createServer(options);
    server.on("secureConnection", (socket: LayeredSocket) => {
      const below = socket._parent;
      if (below !== undefined) this.#arriving.get(below)?.onSecure(socket);
    });
    server.on("tlsClientError", (error, socket: LayeredSocket) => {
      const below = socket._parent;
      if (below !== undefined) this.#arriving.get(below)?.onTlsFailure(error);
    });
    return server;
  }
}

/** The key's name as it stands in front of each ticket, in hexadecimal. */
function nameOfTicketKey(key: string): string {
  return Buffer.from(key, "base64").subarray(0, 16).toString("hex");
}
