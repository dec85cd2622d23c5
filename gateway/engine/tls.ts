/**
 * What an engine and the gateway say to each other about TLS to clients. The engine reads what a client asks for,
 * the gateway names the certificate, and the engine does the rest. This file knows nothing about files, Consul or
 * hosts.
 */
import type { TlsEndpoint } from "./listening/tls-endpoint.ts";

/** A certificate with the chain to its authority, and its private key, as PEM. */
export interface KeyPair {
  readonly chain: string;
  readonly key: string;
}

/** Mozilla's profiles ("Security/Server Side TLS"): `modern` is TLS 1.3 alone. */
export const tlsProfiles = ["intermediate", "modern"] as const;
export type TlsProfile = (typeof tlsProfiles)[number];

/** Who must have signed the certificates that clients are asked for. */
export interface ClientAuthorities {
  /** Whether a client without a certificate is turned away. */
  readonly isRequired: boolean;
  /** PEM certificates of the authorities that may have signed them. */
  readonly authorities: string;
}

/** The part of a client's hello that decides about the certificate it gets. */
export interface AskedTls {
  /** In lower case; `null`: the client named no server. */
  readonly name: string | null;
  readonly protocols: readonly string[];
}

/** What a connection gets. */
export interface TlsChoice {
  readonly endpoint: TlsEndpoint;
  /** Which rule asked the client for a certificate, in the gateway's words; empty: none did. */
  readonly clientRule: string;
  /** Whether requests for this host may come over the connection. */
  readonly covers: (host: string) => boolean;
  /** Set when nothing follows the handshake, which alone was asked for. */
  readonly isHandshakeAll?: true;
}

/** How a listener speaks TLS. */
export interface ListenerTls {
  /** Called once for each connection. `null` ends the handshake with the alert `unrecognized_name`. */
  choose(asked: AskedTls): TlsChoice | null;
}

/** A client's certificate that was verified. */
export interface ClientCertificate {
  /** One line in RFC 4514 form, in ASCII: `CN=shop,O=Example`. */
  readonly subject: string;
  /** SHA-256 of the certificate, hexadecimal in lower case. */
  readonly fingerprint: string;
}

/** A client's connection over TLS. */
export interface ClientTls {
  /** The name that the client asked for, in lower case; `null`: it named none. */
  readonly serverName: string | null;
  /** `TLSv1.3` */
  readonly version: string;
  readonly certificate: ClientCertificate | null;
  readonly clientRule: string;
  readonly covers: (host: string) => boolean;
}
