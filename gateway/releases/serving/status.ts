/** What a gateway says of a host's versions in `/status`. */
import type { Agreement } from "../../model/index.ts";
import { nextStepAt, shareOf } from "../agreement/steps.ts";

/** What `/status` says of a host's versions beyond the one that is live. Times are ISO 8601. */
export interface ReleaseStatus {
  /** What is in KV and passed its checks; `null` when nothing did. */
  readonly accepted: string | null;
  readonly rollout: {
    readonly version: string;
    /** Of the requests, now. */
    readonly percent: number;
    readonly startedAt: string;
    readonly nextStepAt: string;
  } | null;
  readonly takenBack: readonly {
    readonly version: string;
    readonly at: string;
    readonly reason: string;
  }[];
  /** How a version fails that is not taken back, and why it is not. */
  readonly failing: string | null;
  /** A schedule keeps it out of service until then. */
  readonly closedUntil: string | null;
}

/** What a gateway knows of a host's versions. Times are in milliseconds since the epoch. */
export interface KnownRelease {
  readonly accepted: string | null;
  readonly agreed: Agreement | null;
  readonly failing: string | null;
  /** `null`: no schedule keeps it out. */
  readonly closedUntil: number | null;
}

export function describeRelease(
  { accepted, agreed, failing, closedUntil }: KnownRelease,
  nowMs: number,
): ReleaseStatus {
  const { next = null, takenBack = [] } = agreed ?? {};
  const iso = (ms: number) => new Date(ms).toISOString();
  const rollout =
    next === null
      ? null
      : {
          version: next.version,
          percent: shareOf(next, nowMs) / 100,
          startedAt: iso(next.startedAt),
          nextStepAt: iso(nextStepAt(next, nowMs)),
        };
  return {
    accepted,
    rollout,
    takenBack: takenBack.map(({ version, at, reason }) => ({ version, at: iso(at), reason })),
    failing,
    closedUntil: closedUntil === null ? null : iso(closedUntil),
  };
}
