/** What `/status` shows: its shape, and how it is put together. No secret is ever part of it. */
import type { ConsulSourcesStatus } from "../../consul/index.ts";
import type { FailedCase } from "../sandbox/sandbox.ts";
import type { ScriptReport } from "../state/index.ts";
import type { Refusal } from "./scripts.ts";
import type { SnapshotFileStatus } from "./snapshot-file.ts";
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

/** One script, summed over the workers that live now. */
export interface ScriptStatus extends ScriptReport {
  /** ISO 8601: when it was let through. */
  readonly loadedAt: string | null;
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
  readonly refused: readonly (RefusedValue | RefusedScript)[];
  /** What Consul no longer has and is kept all the same until `POST /resync`. */
  readonly held: SourcesStatus["held"];
  /** `null` without a data directory. */
  readonly snapshotFile: SnapshotFileStatus | null;
}

/** Sums the workers' reports by host, for the scripts that are live. */
export function sumScripts(
  live: ReadonlyMap<string, { readonly version: string }>,
  reports: readonly ScriptReport[],
  loadedAt: (host: string) => number | null,
): ScriptStatus[] {
  const sums = new Map<string, { calls: number; errors: number; lastError: string | null }>();
  for (const report of reports) {
    // A worker that has not swapped yet still reports the version before.
    if (live.get(report.host)?.version !== report.version) continue;
    const sum = sums.get(report.host) ?? { calls: 0, errors: 0, lastError: null };
    sum.calls += report.calls;
    sum.errors += report.errors;
    sum.lastError = report.lastError ?? sum.lastError;
    sums.set(report.host, sum);
  }
  return [...live].map(([host, { version }]) => {
    const at = loadedAt(host);
    const sum = sums.get(host) ?? { calls: 0, errors: 0, lastError: null };
    return { host, version, loadedAt: at === null ? null : new Date(at).toISOString(), ...sum };
  });
}

export function describeRefusal({ message, ...refusal }: Refusal): RefusedScript {
  return { ...refusal, error: message };
}
