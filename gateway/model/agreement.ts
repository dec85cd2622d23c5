/** How far the versions of a host's script have come, as data: the document `live/<host>`, and a trial. */
import type { OutOfService, Source } from "./entries.ts";

/** Of a rollout, so that no moment in it is beyond what a date can say. */
export const maxRolloutSteps = 50;
/** How long a step may last: a year. */
export const maxStepMs = 366 * 86_400_000;

/** A version that gets a share of the requests, which widens. */
export interface NextVersion {
  readonly version: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** Of the requests, at the start. */
  readonly percent: number;
  readonly stepsMs: readonly number[];
  /** The header whose value decides; `null`: the client's address. */
  readonly by: string | null;
}

/** A version that failed too often, or stalled a worker. */
export interface TakenBack {
  readonly version: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly reason: string;
  /** It stalled a worker: no gateway runs it again, also where nothing can take its place. */
  readonly stalled?: Omit<OutOfService, "reason">;
}

/** What all gateways have agreed on for one host. Versions are the SHA-256 of a source. */
export interface Agreement {
  /** Grows with every change of the document, so that an older reading of it is known as such. */
  readonly revision: number;
  /** The ModifyIndex of `scripts/<host>` that this was decided for. */
  readonly index: number;
  /** What gets the requests; `null`: no script. */
  readonly live: string | null;
  /** When it came to all requests, in milliseconds since the epoch. Not known of what earlier gateways wrote. */
  readonly liveSince?: number;
  /** What was live before it, to be taken back to; `null` when there is none. */
  readonly before: string | null;
  readonly next: NextVersion | null;
  /** Not tried again. The latest first. */
  readonly takenBack: readonly TakenBack[];
}

/** A version on its way, as workers need it. */
export interface Trial {
  readonly source: Source;
  /** Of 10,000 requests. */
  readonly share: number;
  /** The header whose value decides, in lower case; `null`: the client's address. */
  readonly by: string | null;
}

/** Versions whose schedule keeps them out of service, so that a gateway without Consul can open them. */
export interface Closed {
  readonly script: Source | null;
  readonly trial: Trial | null;
}
