/** What a gateway says of a host's versions in `/status`. */
import type { LifeDocument } from "../state/index.ts";
import { nextStepAt, shareOf } from "./agreement.ts";

/** What `/status` says of a host's versions beyond the one that is live. Times are ISO 8601. */
export interface LifeStatus {
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
  /** A schedule keeps it out of service until then. */
  readonly closedUntil: string | null;
}

/** @param closedUntil milliseconds since the epoch, as `nowMs` is; `null`: no schedule keeps it out. */
export function describeLife(
  accepted: string | null,
  agreed: LifeDocument | null,
  closedUntil: number | null,
  nowMs: number,
): LifeStatus {
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
    closedUntil: closedUntil === null ? null : iso(closedUntil),
  };
}
