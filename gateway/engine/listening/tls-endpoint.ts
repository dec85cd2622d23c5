/**
 * Serves TLS to the connections that share certificates. It uses `node:tls` servers that never listen, one for each
 * session ticket key that is still valid, and makes each when it is first needed.
 */
import { constants, createHash, X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import { createServer, type Server, type TLSSocket, type TlsOptions } from "node:tls";
import type { ClientAuthorities, KeyPair, TlsProfile } from "../tls.ts";
import { TicketKey } from "./session-ticket.ts";

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
  /** Milliseconds since 1970: a client's certificate is looked at again when its session is resumed. */
  readonly now: () => number;
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

/** On a socket below TLS: who is told about its handshake. A `WeakMap` instead costs the garbage collector more. */
const arrivingEvents = Symbol("events");
type ArrivingSocket = Socket & { [arrivingEvents]?: HandshakeEvents | undefined };
/** A TLS socket and the one below it, by which the arrival is found (Node's `lib/internal/tls/wrap.js`). */
type LayeredSocket = TLSSocket & { readonly _parent?: ArrivingSocket };

export class TlsEndpoint {
  readonly #options: EndpointOptions;
  readonly #authorities: readonly X509Certificate[];
  #tickets: TicketKeys = [];
  #keys: readonly TicketKey[] = [];
  /** By the key that seals their tickets. */
  #servers = new Map<TicketKey | null, Server>();

  constructor(options: EndpointOptions) {
    this.#options = options;
    this.#authorities = authoritiesIn(options.clients?.authorities ?? "");
    // Finds out now, and not with the first client, whether OpenSSL refuses the certificates.
    this.#serverFor(this.#keyFor([]));
  }

  get asksForCertificate(): boolean {
    return this.#options.clients !== null;
  }

  /**
   * Begins the handshake on a socket into which the bytes read so far were put back. `tickets`: from the hello.
   */
  begin(socket: ArrivingSocket, tickets: readonly Buffer[], events: HandshakeEvents): void {
    socket[arrivingEvents] = events;
    this.#serverFor(this.#keyFor(tickets)).emit("connection", socket);
  }

  /** The key of the server that resumes the client's session, if it may be resumed; `null`: the server without one. */
  #keyFor(tickets: readonly Buffer[]): TicketKey | null {
    this.#renewKeys();
    const keys = this.#keys;
    const known = keys.find((key) => tickets.some((ticket) => key.isNamedBy(ticket)));
    if (known === undefined) return keys[0] ?? null;
    if (tickets.every((ticket) => this.#mayResume(known, ticket))) return known;
    // A server that cannot open the ticket asks the client for its certificate.
    return keys.find((key) => !tickets.some((ticket) => key.isNamedBy(ticket))) ?? null;
  }

  #renewKeys(): void {
    const tickets = this.#options.tickets();
    if (tickets === this.#tickets) return;
    this.#tickets = tickets;
    const before = this.#keys;
    this.#keys = tickets.map(
      (text) => before.find((key) => key.text === text) ?? new TicketKey(text),
    );
    const kept = new Set<TicketKey | null>([null, ...this.#keys]);
    this.#servers = new Map([...this.#servers].filter(([key]) => kept.has(key)));
  }

  #mayResume(key: TicketKey, ticket: Buffer): boolean {
    if (!this.asksForCertificate || !key.isNamedBy(ticket)) return true;
    const session = key.open(ticket);
    if (session === null) return false;
    return session.certificate === null || this.#isInTime(session.certificate);
  }

  /** Whether neither a verified certificate nor the authority that signed it has expired since. */
  #isInTime(certificate: X509Certificate): boolean {
    const now = this.#options.now();
    return [
      certificate,
      ...this.#authorities.filter((authority) => certificate.checkIssued(authority)),
    ].every(({ validTo }) => now <= Date.parse(validTo));
  }

  #serverFor(key: TicketKey | null): Server {
    const known = this.#servers.get(key);
    if (known !== undefined) return known;
    const server = this.#create(key);
    this.#servers.set(key, server);
    return server;
  }

  #create(ticketKey: TicketKey | null): Server {
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
      // The arrival has a deadline. Node's own would be two timers for each handshake; its 0 means two minutes.
      handshakeTimeout: -1,
      sessionTimeout: sessionSeconds,
      sessionIdContext: createHash("sha256").update(identity).digest("hex").slice(0, 32),
      requestCert: clients !== null,
      rejectUnauthorized: clients?.isRequired ?? false,
      ...(clients === null ? {} : { ca: clients.authorities }),
      ...(ticketKey === null ? {} : { ticketKeys: ticketKey.bytes }),
    };
    const server = createServer(options);
    server.on("secureConnection", (socket: LayeredSocket) => {
      const below = socket._parent;
      const events = below?.[arrivingEvents];
      // What was read of the hello must not stay as long as the connection.
      if (below !== undefined) below[arrivingEvents] = undefined;
      if (this.#isOutlived(socket)) {
        events?.onTlsFailure(
          new Error("the client's certificate has expired since its session began"),
        );
        return;
      }
      events?.onSecure(socket);
    });
    server.on("tlsClientError", (error, socket: LayeredSocket) => {
      socket._parent?.[arrivingEvents]?.onTlsFailure(error);
    });
    return server;
  }

  /**
   * A client may show a ticket in its second hello alone, which only OpenSSL reads (RFC 8446 section 4.1.2).
   */
  #isOutlived(socket: TLSSocket): boolean {
    if (!this.asksForCertificate || !socket.isSessionReused()) return false;
    const certificate = socket.getPeerX509Certificate();
    return certificate !== undefined && !this.#isInTime(certificate);
  }
}

/** All certificates in a text. */
function authoritiesIn(pem: string): readonly X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}
