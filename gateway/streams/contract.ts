/**
 * What the room for streams gets from a worker, and what it reports about each stream. It knows no sites and no
 * versions.
 */
import type { Upstream } from "../balancing/index.ts";
import type { FailureCode, Peer } from "../engine/engine.ts";
import type { ListenerTerms } from "../model/index.ts";

/** Where a stream goes. */
export type Route =
  | { readonly upstream: Upstream }
  /** Nobody watches the service yet: a `serviceKey`, or `@` and a datacenter, to wait for. */
  | { readonly awaited: string }
  /** There is no upstream; says why. */
  | { readonly why: string };

export interface Routes {
  /** Routes everything that comes to a listener with an upstream. */
  upstream(name: string): Route;
  /** Routes by a name that a client asked for, in lower case. */
  host(name: string, clientAddress: string, terms: ListenerTerms): Route;
}

/** Why a stream ended when it did not end because both sides closed it. */
export type StreamFailure =
  | FailureCode
  /** The listener's limits. */
  | "too_many_connections"
  | "too_many_from_address"
  | "too_many_to_upstream"
  /** Nothing has the name that the client asked for, or that the listener's document gives. */
  | "no_route"
  /** The name is known, but has no peer that could be tried. */
  | "no_upstream"
  | "service_unknown_yet"
  | "too_many_waiting"
  /** A peer's datagram that would exceed what its client may be answered. */
  | "amplification"
  /** The first bytes are not a valid ClientHello. */
  | "bad_hello"
  | "bad_proxy_header"
  /** The client did not say in time what the gateway needs to know first. */
  | "greeting_timeout"
  | "idle_timeout"
  | "time_limit"
  | "client_reset"
  | "peer_reset"
  | "drained";

/** A finished stream: a TCP connection, or a session of datagrams. */
export interface StreamRecord {
  readonly listener: string;
  readonly protocol: ListenerTerms["protocol"];
  readonly clientAddress: string;
  readonly clientPort: number;
  /** The sender's address when the gateway believes what it says about its client, otherwise empty. */
  readonly proxyAddress: string;
  /** The name that the client asked for (SNI); empty: none. */
  readonly name: string;
  /** Empty when none was found. */
  readonly upstream: string;
  readonly peer: Peer | null;
  readonly tries: number;
  /** Bytes from the client; `bytesOut` are those to it. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly durationMs: number;
  readonly failure: StreamFailure | "";
  /** Further words about the failure; empty: none. */
  readonly message: string;
}

/** The sums for one listener and one upstream, to which streams add while they run. */
export interface StreamTally {
  bytesIn: number;
  bytesOut: number;
}

export interface StreamObserver {
  /** Returns the sums to which a stream to this upstream adds its bytes. */
  tally(listener: string, upstream: string): StreamTally;
  /** A try on a peer of the upstream failed. */
  peerFailed(upstream: string, peer: Peer, code: FailureCode, message: string): void;
  ended(record: StreamRecord): void;
  /** A datagram was dropped. This may happen very often. */
  dropped(listener: string, failure: StreamFailure): void;
}
