/** What a gateway says of a host's script and its versions in `/status`. */
import type { Agreement, ScriptReport, Source } from "../../model/index.ts";
import { nextStepAt, shareOf } from "../agreement/steps.ts";
import type { ScriptCount } from "../failing/counters.ts";

/** What the workers that live now report of one version. */
export type VersionStatus = Omit<ScriptReport, "host" | "callers" | "failed">;

/** One host's script, summed over all workers that there were. */
export interface ScriptStatus extends Omit<ScriptReport, "version" | "callers" | "failed"> {
  /** What serves all requests that are not in a rollout; `null`: nothing does. */
  readonly version: string | null;
  /** ISO 8601: when it was let through. */
  readonly loadedAt: string | null;
  /** Why it is not run although it is `version`; `null`: it is run. */
  readonly outOfService: string | null;
  /** Not there where there is one tenant. */
  readonly tenant?: string;
  /** A version that has a share of the requests. */
  readonly trial: VersionStatus | null;
  readonly life: ReleaseStatus;
}

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
  /** How a version fails that stays all the same, and why it stays. */
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

/** What a gateway knows of a host's script. */
export interface KnownScript {
  readonly host: string;
  /** As workers have it. */
  readonly source: Source | null;
  /** The version that has a share. */
  readonly trial: string | null;
  readonly life: ReleaseStatus;
  /** Milliseconds since the epoch. */
  readonly loadedAt: number | null;
  readonly countOf: (version: string) => ScriptCount;
  readonly tenant: string | null;
}

/** `null` for a host that neither has a script in service nor one that waits for it. */
export function describeScript(known: KnownScript): ScriptStatus | null {
  const { host, source, trial, life, loadedAt, countOf, tenant } = known;
  const version = source?.isUnexamined ? null : (source?.version ?? null);
  const isWaiting = life.accepted !== null || life.closedUntil !== null;
  if (source === null && trial === null && !isWaiting) return null;
  const counters = version === null ? { calls: 0, errors: 0, lastError: null } : countOf(version);
  return {
    host,
    ...counters,
    version,
    ...(tenant === null ? {} : { tenant }),
    outOfService: source?.isUnexamined
      ? "not examined yet"
      : (source?.outOfService?.reason ?? null),
    loadedAt: loadedAt === null ? null : new Date(loadedAt).toISOString(),
    trial: trial === null ? null : { version: trial, ...countOf(trial) },
    life,
  };
}
