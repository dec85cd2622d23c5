/** How far the versions of a host's script have come, as data: the document `live/<host>`, and trials. */
import type { OutOfService, Source } from "./entries.ts";

/** Bounds a rollout, so that none of its moments is beyond what a date can express. */
export const maxRolloutSteps = 50;
/** How long a step may last: a year. */
export const maxStepMs = 366 * 86_400_000;

/** A version that gets a share of the requests, which grows. */
export interface NextVersion {
  readonly version: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** The share of the requests at the start, in per cent. */
  readonly percent: number;
  readonly stepsMs: readonly number[];
  /** The header whose value decides which requests it gets; `null`: the client's address decides. */
  readonly by: string | null;
}

/** A version that failed too often, or stalled a worker. */
export interface TakenBack {
  readonly version: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly reason: string;
  /** Set when it stalled a worker: no gateway runs it again, even when nothing can replace it. */
  readonly stalled?: Omit<OutOfService, "reason">;
}

/** What all gateways have agreed on for one host. Versions are the SHA-256 of a source. */
export interface Agreement {
  /** Grows with every change of the document, so that an older reading is recognised. */
  readonly revision: number;
  /** The ModifyIndex of `scripts/<host>` for which this was decided. */
  readonly index: number;
  /** The version that gets the requests; `null`: no script. */
  readonly live: string | null;
  /** When it began to get all requests, in milliseconds since the epoch. Missing in what earlier gateways wrote. */
  readonly liveSince?: number;
  /** The version that was live before, to which the host can be taken back; `null` when there is none. */
  readonly before: string | null;
  readonly next: NextVersion | null;
  /** Versions that are not tried again, the latest first. */
  readonly takenBack: readonly TakenBack[];
}

/** A version on trial, as workers need it. */
export interface Trial {
  readonly source: Source;
  /** How many of 10,000 requests it gets. */
  readonly share: number;
  /** The header whose value decides which requests it gets, in lower case; `null`: the client's address decides. */
  readonly by: string | null;
}

/** Versions that their schedule keeps out of service now, so that a gateway without Consul can open them in time. */
export interface Closed {
  readonly script: Source | null;
  readonly trial: Trial | null;
}
