/**
 * The listeners of a gateway as plain data: what each speaks and what it is for. The primary binds their addresses,
 * every worker accepts on all of them.
 */
import type { TlsProfile } from "../engine/tls.ts";
import type { Exposure } from "./exposure.ts";

/** `tls-passthrough` reads the name that a client asks for and decrypts nothing. */
export const listenerProtocols = ["http", "https", "tcp", "tls-passthrough", "udp"] as const;
export type ListenerProtocol = (typeof listenerProtocols)[number];

/** Those whose requests the HTTP engine serves; the others carry bytes. */
export function isHttp(protocol: ListenerProtocol): boolean {
  return protocol === "http" || protocol === "https";
}

/** What workers are told of a listener; its number is its place in their list. */
export interface ListenerTerms {
  /** No two have the same: `http`, `internal`, `tcp-5432`. */
  readonly name: string;
  readonly protocol: ListenerProtocol;
  /** Which services are reached by their names; means nothing with `upstream`. */
  readonly exposes: Exposure;
  /** Where all connections go: an upstream document or a service, by its name. `null`: what is asked for decides. */
  readonly upstream: string | null;
  /** How it speaks TLS; `null`: it does not. */
  readonly tls: ListenerTlsTerms | null;
  /** Addresses and blocks of senders whose connections begin with the PROXY protocol. Nobody else's do. */
  readonly proxyProtocol: readonly string[];
  readonly limits: ListenerLimits;
  /** Of a listener that carries bytes; another has no use for it. */
  readonly stream: StreamTerms;
}

/** How bytes are carried. */
export interface StreamTerms {
  /** No byte either way for this long ends the connection, or the session of datagrams. */
  readonly idleTimeoutMs: number;
  /** A connection is cut after this; 0: never. */
  readonly maxDurationMs: number;
  /** With which version of the PROXY protocol peers are told whose connection it is; `null`: with none. */
  readonly sendProxyProtocol: "v1" | "v2" | null;
}

/** As nginx has it for connections, and as a home router has it for datagrams. */
export const defaultStreamTerms: StreamTerms = {
  idleTimeoutMs: 600_000,
  maxDurationMs: 0,
  sendProxyProtocol: null,
};
export const defaultDatagramTerms: StreamTerms = { ...defaultStreamTerms, idleTimeoutMs: 60_000 };

export interface ListenerTlsTerms {
  readonly profile: TlsProfile;
  /** The name of a certificate for clients that ask for no name, or one that no certificate is for; `null`: none. */
  readonly defaultCertificate: string | null;
}

/** A listener that Consul has, and that every gateway opens. Its name is that of its key. */
export interface ListenerDocument extends Omit<ListenerTerms, "name" | "tls"> {
  readonly address: { readonly host: string; readonly port: number };
}

/** Each for one worker; 0: no limit. */
export interface ListenerLimits {
  /** Connections at once; of UDP, sessions. */
  readonly maxConnections: number;
  /** The same from one client address. */
  readonly maxConnectionsPerAddress: number;
  /** Of a listener that carries bytes: the same to one upstream. */
  readonly maxConnectionsPerUpstream: number;
}

export const noListenerLimits: ListenerLimits = {
  maxConnections: 0,
  maxConnectionsPerAddress: 0,
  maxConnectionsPerUpstream: 0,
};
