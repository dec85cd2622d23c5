/**
 * What an engine and the gateway say to each other about TLS to clients: the engine reads what a client asks for, the
 * gateway names the certificate, the engine does the rest. Knows nothing of files, Consul or hosts.
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

/** Which certificates clients are asked for. */
export interface ClientAuthorities {
  /** Whether one without is turned away. */
  readonly isRequired: boolean;
  /** PEM certificates of those who may sign them. */
  readonly authorities: string;
}

/** What a client asked for, as far as it decides about its certificate. */
export interface AskedTls {
  /** In lower case; `null`: no name. */
  readonly name: string | null;
  readonly protocols: readonly string[];
}

/** What a connection gets. */
export interface TlsChoice {
  readonly endpoint: TlsEndpoint;
  /** By what rule clients were asked for a certificate, in the gateway's words; empty: they were not. */
  readonly clientRule: string;
  /** Whether requests for this host may come over it. */
  readonly covers: (host: string) => boolean;
  /** The handshake is all that is wanted: the connection ends with it. */
  readonly isChallenge?: true;
}

/** How a listener speaks TLS. */
export interface ListenerTls {
  /** Called once for each connection. `null`: it ends with the alert `unrecognized_name`. */
  choose(asked: AskedTls): TlsChoice | null;
}

/** A certificate that a client showed and that was verified. */
export interface ClientCertificate {
  /** One line, RFC 4514: `CN=shop,O=Example`. In ASCII. */
  readonly subject: string;
  /** SHA-256 of the certificate, hexadecimal in lower case. */
  readonly fingerprint: string;
}

/** A client's connection over TLS. */
export interface ClientTls {
  /** As the client asked, in lower case; `null`: it named none. */
  readonly serverName: string | null;
  /** `TLSv1.3` */
  readonly version: string;
  readonly cipher: string;
  readonly isResumed: boolean;
  readonly certificate: ClientCertificate | null;
  readonly clientRule: string;
  readonly covers: (host: string) => boolean;
}
