/**
 * Which versions of scripts fail too often: sums what all workers of a gateway report over a sliding
 * window. Takes nothing back itself.
 */
import { defaultThreshold, type Threshold } from "../sandbox/index.ts";
import type { ScriptReport } from "../state/index.ts";

/** Counters of a script since its worker has it. */
export interface WorkerScriptReport extends ScriptReport {
  readonly worker: number;
}

export interface Failing {
  readonly host: string;
  readonly version: string;
  readonly calls: number;
  readonly errors: number;
  readonly lastError: string | null;
}

interface Track {
  readonly host: string;
  readonly version: string;
  readonly last: Map<number, { readonly calls: number; readonly errors: number }>;
  readonly steps: { readonly atMs: number; readonly calls: number; readonly errors: number }[];
  lastError: string | null;
}

export class ErrorRates {
  readonly #thresholdOf: (version: string) => Threshold;
  #tracks = new Map<string, Track>();

  /** @param thresholdOf what each version has declared. Default: the same for all. */
  constructor(thresholdOf: (version: string) => Threshold = () => defaultThreshold) {
    this.#thresholdOf = thresholdOf;
  }

  /** The latest report of every worker that lives; those of workers that are gone are left out. */
  take(nowMs: number, reports: readonly WorkerScriptReport[]): void {
    const tracks = new Map<string, Track>();
    for (const report of reports) {
      const key = `${report.version} ${report.host}`;
      const track = tracks.get(key) ?? this.#tracks.get(key) ?? begin(report);
      tracks.set(key, track);
      const { worker, calls, errors } = report;
      const before = track.last.get(worker);
      track.last.set(worker, { calls, errors });
      // Counters that went back began anew: the worker made the script's home again.
      const base = before === undefined || before.calls > calls ? { calls: 0, errors: 0 } : before;
      const step = { atMs: nowMs, calls: calls - base.calls, errors: errors - base.errors };
      if (step.calls > 0 || step.errors > 0) track.steps.push(step);
      if (step.errors > 0) track.lastError = report.lastError;
    }
    for (const { version, steps } of tracks.values()) {
      const { windowMs } = this.#thresholdOf(version);
      const first = steps.findIndex(({ atMs }) => atMs > nowMs - windowMs);
      steps.splice(0, first === -1 ? steps.length : first);
    }
    this.#tracks = tracks;
  }

  /** Those beyond the threshold, in the window up to the last `take`. */
  failing(): readonly Failing[] {
    const found: Failing[] = [];
    for (const { host, version, steps, lastError } of this.#tracks.values()) {
      const { minErrors, maxErrorShare } = this.#thresholdOf(version);
      let calls = 0;
      let errors = 0;
      for (const step of steps) {
        calls += step.calls;
        errors += step.errors;
      }
      if (errors < minErrors || errors <= calls * maxErrorShare) continue;
      found.push({ host, version, calls, errors, lastError });
    }
    return found;
  }
}

function begin({ host, version }: ScriptReport): Track {
  return { host, version, last: new Map(), steps: [], lastError: null };
}
