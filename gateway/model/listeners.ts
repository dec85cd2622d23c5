/**
 * The listeners of a gateway as plain data: what each speaks and what it is for. The primary binds their addresses,
 * every worker accepts on all of them.
 */
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
  /** Addresses and blocks of senders whose connections begin with the PROXY protocol. Nobody else's do. */
  readonly proxyProtocol: readonly string[];
  readonly limits: ListenerLimits;
}

/** Each for one worker; 0: no limit. */
export interface ListenerLimits {
  /** Connections at once; of UDP, sessions. */
  readonly maxConnections: number;
  /** The same from one client address. */
  readonly maxConnectionsPerAddress: number;
}

export const noListenerLimits: ListenerLimits = { maxConnections: 0, maxConnectionsPerAddress: 0 };
