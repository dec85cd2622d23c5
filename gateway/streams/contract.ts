/** What the streams' room is given by a worker, and what it tells of each stream. Knows no site and no version. */
import type { Upstream } from "../balancing/index.ts";
import type { FailureCode, Peer } from "../engine/engine.ts";
import type { ListenerTerms } from "../model/index.ts";

/** Where a stream goes. */
export type Route =
  | { readonly upstream: Upstream }
  /** Nobody watches it yet: what to wait for, a `serviceKey` or `@` and a datacenter. */
  | { readonly awaited: string }
  /** There is none, and why. */
  | { readonly why: string };

export interface Routes {
  /** Of all that comes to a listener with an upstream. */
  upstream(name: string): Route;
  /** Of a name that a client asked for, in lower case. */
  host(name: string, clientAddress: string, terms: ListenerTerms): Route;
}

/** Why a stream ended, when it did not end by both sides closing it. */
export type StreamFailure =
  | FailureCode
  /** The limits of the listener. */
  | "too_many_connections"
  | "too_many_from_address"
  | "too_many_to_upstream"
  /** Nothing has the name that the client asked for, or the listener's upstream. */
  | "no_route"
  /** The name is known, and has no peer that could be tried. */
  | "no_upstream"
  | "service_unknown_yet"
  | "too_many_waiting"
  /** What should be a ClientHello is none. */
  | "bad_hello"
  | "bad_proxy_header"
  /** The client did not say in time what the gateway has to know first. */
  | "greeting_timeout"
  | "idle_timeout"
  | "time_limit"
  | "client_reset"
  | "peer_reset"
  | "drained";

/** A stream that is over: a TCP connection, or a session of datagrams. */
export interface StreamRecord {
  readonly listener: string;
  readonly protocol: ListenerTerms["protocol"];
  readonly clientAddress: string;
  readonly clientPort: number;
  /** The sender's address when that is believed about its client, otherwise empty. */
  readonly proxyAddress: string;
  /** What the client asked for (SNI); empty: nothing. */
  readonly name: string;
  /** Empty: none was found. */
  readonly upstream: string;
  readonly peer: Peer | null;
  readonly tries: number;
  /** From the client and to it. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly durationMs: number;
  readonly failure: StreamFailure | "";
  /** What else is known of the failure; empty: nothing. */
  readonly message: string;
}

/** The sums of one listener and one upstream, added to while streams run. */
export interface StreamTally {
  bytesIn: number;
  bytesOut: number;
}

export interface StreamObserver {
  /** Where the bytes of a stream are counted that goes to this upstream. */
  tally(listener: string, upstream: string): StreamTally;
  /** A try on a peer of the upstream failed. */
  peerFailed(upstream: string, peer: Peer, code: FailureCode, message: string): void;
  ended(record: StreamRecord): void;
  /** A datagram found no place. There may be very many. */
  dropped(listener: string, failure: StreamFailure): void;
}
