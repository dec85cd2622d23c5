/**
 * What a worker counted since it last told the primary, which adds up the numbers. Workers report increments, so that
 * no count is lost or counted twice when a worker is replaced.
 */

/** Upper bounds of the histogram of durations, in seconds. One more bucket holds what is above the last. */
export const durationBounds: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

/** The same for how late the event loop is, in seconds. */
export const delayBounds: readonly number[] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5];

/** By the first digit of the status. `none`: the client had gone before there was one. */
export const statusClasses = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"] as const;

/** The label for hosts that no document, script or exposed service has, and for what exceeds a limit. */
export const otherLabel = "other";
/** The upstream label for requests that found none. */
export const noUpstream = "none";

/** The requests for one host that went to one upstream. */
export interface RouteCounts {
  readonly host: string;
  readonly upstream: string;
  /** Parallel to `statusClasses`. */
  readonly classes: readonly number[];
  /** Parallel to `durationBounds`, with one more bucket. Each request is in exactly one. */
  readonly durations: readonly number[];
  readonly seconds: number;
  readonly tries: number;
  /** Bytes of bodies from clients; `bytesOut` are those to clients. */
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** Tries on peers of one upstream that brought no answer, with one code. */
export interface PeerFailureCounts {
  readonly upstream: string;
  readonly code: string;
  readonly count: number;
}

/** How late the event loop was when sampled. */
export interface DelayCounts {
  /** Parallel to `delayBounds`, with one more bucket. */
  readonly buckets: readonly number[];
  readonly seconds: number;
}

export interface TrafficCounts {
  readonly routes: readonly RouteCounts[];
  readonly peerFailures: readonly PeerFailureCounts[];
  /** Requests that ended with an error code, by code. */
  readonly failures: Readonly<Record<string, number>>;
}

/** The streams of one listener that went to one upstream. */
export interface StreamCounts {
  readonly listener: string;
  readonly upstream: string;
  /** Bytes from clients; `bytesOut` are those to clients. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Connections and sessions that have ended. */
  readonly ended: number;
  /** How many of these ended with an error, by error code. */
  readonly failures: Readonly<Record<string, number>>;
}

export interface WorkerCounts extends TrafficCounts {
  readonly streams: readonly StreamCounts[];
  /** Heads that were refused before they became a request, by code. */
  readonly refused: Readonly<Record<string, number>>;
  readonly droppedHeaders: number;
  readonly processorSeconds: number;
  readonly delays: DelayCounts;
}
