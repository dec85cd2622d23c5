/** What `/status` shows: its shape, and how it is put together. No secret is ever part of it. */
import type { ConsulSourcesStatus } from "../../consul/index.ts";
import { type ScriptReport, type Tables, type TenantPolicy, Tenants } from "../model/index.ts";
import type { Refusal } from "../releases/examining/gate.ts";
import type { ScriptCount } from "../releases/failing/counters.ts";
import type { ReleaseStatus } from "../releases/index.ts";
import type { FailedCase } from "../sandbox/index.ts";
import type { SnapshotFileStatus } from "./snapshot-file.ts";
import type { Warning } from "./warnings.ts";
import type { WorkerStatus } from "./workers.ts";

/** What the sources say of themselves. */
export type SourcesStatus = Omit<ConsulSourcesStatus, "consul">;

export interface RefusedValue {
  readonly key: string;
  readonly error: string;
  readonly since: string;
}

export interface RefusedScript extends RefusedValue {
  readonly version: string | null;
  readonly line: number;
  readonly column: number;
  /** The case of the script's own tests that failed. */
  readonly test?: FailedCase;
}

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

export interface Status {
  readonly version: number;
  readonly boot: string;
  readonly uptimeMs: number;
  /** Why `/readyz` answers 503; `null` when it answers 200. */
  readonly notReady: string | null;
  readonly consul: { readonly url: string; readonly stale: SourcesStatus["stale"] };
  readonly watches: SourcesStatus["watches"];
  /** Services that are watched; those without a blocking query of their own are polled. */
  readonly services: { readonly inUse: number; readonly polled: number };
  readonly workers: readonly WorkerStatus[];
  readonly scripts: readonly ScriptStatus[];
  /** Who may use what; `null`: there is one tenant. */
  readonly tenants: TenantPolicy | null;
  readonly modules: readonly { readonly name: string; readonly version: string }[];
  readonly refused: readonly (RefusedValue | RefusedScript)[];
  /** What is accepted and has no effect, or names what is not there. */
  readonly warnings: readonly Warning[];
  /** What Consul no longer has and is kept all the same until `POST /resync`. */
  readonly held: SourcesStatus["held"];
  /** `null` without a data directory. */
  readonly snapshotFile: SnapshotFileStatus | null;
}

/** Every host that has a script in service, or one that waits for it. */
export function describeScripts(
  tables: Pick<Tables, "script" | "trial">,
  countOf: (host: string, version: string) => ScriptCount,
  loadedAt: (host: string) => number | null,
  lives: { hosts(): Iterable<string>; status(host: string): ReleaseStatus },
  policy: TenantPolicy | null = null,
): ScriptStatus[] {
  const tenants = policy === null ? null : new Tenants(policy);
  const of = (host: string, version: string): VersionStatus => ({
    version,
    ...countOf(host, version),
  });
  const scripts: ScriptStatus[] = [];
  for (const host of new Set([...tables.script.keys(), ...lives.hosts()])) {
    const life = lives.status(host);
    const source = tables.script.get(host);
    const version = source?.isUnexamined ? null : (source?.version ?? null);
    const trial = tables.trial.get(host)?.source.version ?? null;
    const isWaiting = life.accepted !== null || life.closedUntil !== null;
    if (source === undefined && trial === null && !isWaiting) continue;
    const at = loadedAt(host);
    const counters =
      version === null ? { calls: 0, errors: 0, lastError: null } : of(host, version);
    scripts.push({
      host,
      ...counters,
      version,
      ...(tenants === null ? {} : { tenant: tenants.ownerOf("hosts", host) }),
      outOfService: source?.isUnexamined
        ? "not examined yet"
        : (source?.outOfService?.reason ?? null),
      loadedAt: at === null ? null : new Date(at).toISOString(),
      trial: trial === null ? null : of(host, trial),
      life,
    });
  }
  return scripts;
}

export function describeRefusal({ message, ...refusal }: Refusal): RefusedScript {
  return { ...refusal, error: message };
}
