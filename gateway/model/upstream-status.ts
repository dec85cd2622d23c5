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
  /** The requests of the other workers, where something depends on them, as this worker last heard. */
  readonly elsewhere: number;
  /** Tries that it answered, for all upstreams that have the address. */
  readonly answers: number;
  /** Tries that it failed, and answers with a status of 500 or above. */
  readonly errors: number;
  /** A moving average over its last answers, from the pick to the answer's end. */
  readonly latencyMs: number;
  /** `err`: it is not picked. */
  readonly state: HealthState;
  /** Why it has that state, in a few clauses. */
  readonly reason: string;
  /**
   * When the primary last heard of a change, in ISO 8601; `null`: it knows of none, or the change is this worker's
   * own.
   */
  readonly since: string | null;
  /** Milliseconds until it may get a probing request; `null` when it may be picked, or the time is unknown. */
  readonly downForMs: number | null;
}

/** The bounds of an upstream, in one worker. */
export interface BoundsStatus {
  /** `null` when its document does not bound requests. */
  readonly requests: {
    readonly inFlight: number;
    /** The other workers' requests, as they last reported. */
    readonly elsewhere: number;
    /** `null`: no limit for the whole upstream. */
    readonly most: number | null;
    readonly waiting: number;
    readonly queue: number;
  } | null;
  /** `null` when it has none. */
  readonly breaker: {
    readonly state: "closed" | "open" | "half_open";
    /** Milliseconds that it stays open; 0 when it is not open. */
    readonly openForMs: number;
  } | null;
  /** In the last seconds; `null`: only `try` bounds retries. */
  readonly retries: { readonly taken: number; readonly most: number } | null;
}

export interface UpstreamStatus {
  /** The name that the operator knows. */
  readonly name: string;
  readonly limits: TargetOptions | null;
  readonly bounds: BoundsStatus;
  readonly peers: readonly PeerStatus[];
}

/** How many requests are on a peer, given by its address, or on an upstream, given by its name. */
export type Load = [of: string, requests: number];

/** Loads by what they are on. */
export interface Loads {
  readonly peers: readonly Load[];
  readonly upstreams: readonly Load[];
}

/** Entries whose upstreams are asked for: keys of upstream documents and of services. */
export interface UpstreamKeys {
  readonly upstreams: readonly string[];
  readonly services: readonly string[];
}

/** An upstream with the entry that it was made from. A service has a further one for each tag that was asked for. */
export interface RoutedUpstream extends UpstreamStatus {
  readonly kind: "upstream" | "service";
  readonly key: string;
}

/** The upstream of an entry, in a few numbers. */
export interface UpstreamLoad {
  readonly name: string;
  readonly peers: number;
  /** Servers that are out, or that their document marks as down. */
  readonly down: number;
  readonly inFlight: number;
}
