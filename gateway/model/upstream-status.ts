/** The live state of an upstream in one worker, as plain data. */
import type { TargetOptions } from "../engine/engine.ts";
import type { HealthState } from "./peer-health.ts";

/** One server of an upstream. */
export interface PeerStatus {
  readonly address: string;
  /** 0 is the first level. */
  readonly level: number;
  readonly weight: number;
  readonly effectiveWeight: number;
  readonly fails: number;
  readonly inFlight: number;
  /** The same of the other workers, where somebody decides by that, as this one heard last. */
  readonly elsewhere: number;
  /** Tries that it answered, of all upstreams that name the address. */
  readonly answers: number;
  /** Tries that it failed, and answers with a status from 500 on. */
  readonly errors: number;
  /** Of its last answers, from the pick to their end; a moving average. */
  readonly latencyMs: number;
  /** `err`: it is not picked. */
  readonly state: HealthState;
  /** Why it is in that state, in a few clauses. */
  readonly reason: string;
  /** When the primary last heard of a change, ISO 8601; `null`: it knows of none, or the change is this worker's own. */
  readonly since: string | null;
  /** After so many milliseconds it may get a probing request; `null` when it may be picked, or nobody can tell. */
  readonly downForMs: number | null;
}

/** What bounds an upstream, in one worker. */
export interface BoundsStatus {
  /** `null`: its document bounds no requests. */
  readonly requests: {
    readonly inFlight: number;
    /** Of the other workers, as they said last. */
    readonly elsewhere: number;
    /** `null`: no limit for the whole upstream. */
    readonly most: number | null;
    readonly waiting: number;
    readonly queue: number;
  } | null;
  /** `null`: it has none. */
  readonly breaker: {
    readonly state: "closed" | "open" | "half_open";
    /** 0 when it is not open. */
    readonly opensForMs: number;
  } | null;
  /** Of the last seconds; `null`: only `try` bounds them. */
  readonly retries: { readonly taken: number; readonly most: number } | null;
}

export interface UpstreamStatus {
  /** As the operator knows it. */
  readonly name: string;
  readonly limits: TargetOptions | null;
  readonly bounds: BoundsStatus;
  readonly peers: readonly PeerStatus[];
}

/** A peer, by its address, or an upstream, by its name, and how many requests are on it. */
export type Load = [of: string, requests: number];

/** By what they are of. */
export interface Loads {
  readonly peers: readonly Load[];
  readonly upstreams: readonly Load[];
}

/** Entries whose upstreams are asked for: keys of upstream documents and of services. */
export interface UpstreamKeys {
  readonly upstreams: readonly string[];
  readonly services: readonly string[];
}

/** An upstream with the entry that it was made of; a service has one more for each tag that was asked for. */
export interface RoutedUpstream extends UpstreamStatus {
  readonly kind: "upstream" | "service";
  readonly key: string;
}

/** The upstream of an entry in a few numbers. */
export interface UpstreamLoad {
  readonly name: string;
  readonly peers: number;
  /** Those that are out, or that their document says are down. */
  readonly down: number;
  readonly inFlight: number;
}
