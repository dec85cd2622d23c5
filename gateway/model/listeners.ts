/**
 * A gateway's listeners as plain data: what each speaks and what it is for. The primary binds their addresses, and
 * every worker accepts on all of them.
 */
import type { TlsProfile } from "../engine/tls.ts";
import type { Exposure } from "./exposure.ts";

/** `tls-passthrough` reads the name that a client asks for and decrypts nothing. */
export const listenerProtocols = ["http", "https", "tcp", "tls-passthrough", "udp"] as const;
export type ListenerProtocol = (typeof listenerProtocols)[number];

/** Whether the HTTP engine serves its requests; the other protocols carry bytes. */
export function isHttp(protocol: ListenerProtocol): boolean {
  return protocol === "http" || protocol === "https";
}

/** What workers are told about a listener. Its number is its place in their list. */
export interface ListenerTerms {
  /** Unique: `http`, `internal`, `tcp-5432`. */
  readonly name: string;
  readonly protocol: ListenerProtocol;
  /** Which services are reached by their names; without effect when there is an `upstream`. */
  readonly exposes: Exposure;
  /** The upstream document or service that all connections go to; `null`: what the client asks for decides. */
  readonly upstream: string | null;
  /** How it speaks TLS; `null`: not at all. */
  readonly tls: ListenerTlsTerms | null;
  /**
   * Addresses and blocks of senders whose connections begin with the PROXY protocol. Connections from others do not.
   */
  readonly proxyProtocol: readonly string[];
  readonly limits: ListenerLimits;
  /** Only for a listener that carries bytes. */
  readonly stream: StreamTerms;
}

/** How bytes are carried. */
export interface StreamTerms {
  /** A connection, or a session of datagrams, ends when no byte moves either way for so long. */
  readonly idleTimeoutMs: number;
  /** A connection is cut after so long; 0: never. */
  readonly maxDurationMs: number;
  /** The version of the PROXY protocol that tells peers whose connection it is; `null`: peers are not told. */
  readonly sendProxyProtocol: "v1" | "v2" | null;
  /** Answers to a client have at most so many times the bytes that it sent, for datagrams; 0: as many as peers send. */
  readonly maxAmplification: number;
}

/** As nginx has it for connections, and home routers for datagrams. */
export const defaultStreamTerms: StreamTerms = {
  idleTimeoutMs: 600_000,
  maxDurationMs: 0,
  sendProxyProtocol: null,
  maxAmplification: 0,
};
export const defaultDatagramTerms: StreamTerms = { ...defaultStreamTerms, idleTimeoutMs: 60_000 };

export interface ListenerTlsTerms {
  readonly profile: TlsProfile;
  /** The name of the certificate for clients that ask for no name, or for one without a certificate; `null`: none. */
  readonly defaultCertificate: string | null;
}

/** A listener that Consul has and every gateway opens. Its key gives its name. */
export interface ListenerDocument extends Omit<ListenerTerms, "name" | "tls"> {
  readonly address: { readonly host: string; readonly port: number };
}

/** Each applies to one worker; 0: no limit. */
export interface ListenerLimits {
  /** Connections at once; for UDP, sessions. */
  readonly maxConnections: number;
  /** Connections at once from one client address. */
  readonly maxConnectionsPerAddress: number;
  /** For a listener that carries bytes: connections at once to one upstream. */
  readonly maxConnectionsPerUpstream: number;
}

export const noListenerLimits: ListenerLimits = {
  maxConnections: 0,
  maxConnectionsPerAddress: 0,
  maxConnectionsPerUpstream: 0,
};
