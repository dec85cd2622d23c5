/**
 * How often each version of a script was called and failed, over all workers that this gateway ever had. A
 * worker's own counters end with it, and begin anew when it loads a script again; these only grow.
 */
import type { ScriptReport } from "../../model/index.ts";

export interface ScriptCount {
  readonly calls: number;
  readonly errors: number;
  /** Of whichever worker failed last; `null`: none has. */
  readonly lastError: string | null;
}

type Seen = Pick<ScriptReport, "calls" | "errors">;

/** Versions that are remembered; beyond, the one that was reported longest ago goes. */
const maxVersions = 10_000;
const none: ScriptCount = { calls: 0, errors: 0, lastError: null };

export class ScriptCounters {
  /** By version and host, the one that was reported last at the end. */
  readonly #counts = new Map<string, ScriptCount>();
  /** What each worker reported last. */
  readonly #seen = new Map<number, ReadonlyMap<string, Seen>>();

  /** The counters of one worker, as they stand there. */
  take(worker: number, reports: readonly ScriptReport[]): void {
    const before = this.#seen.get(worker);
    const seen = new Map<string, Seen>();
    for (const { host, version, calls, errors, lastError } of reports) {
      const key = keyOf(host, version);
      seen.set(key, { calls, errors });
      const last = before?.get(key);
      // What is lower than before began anew.
      const base = last === undefined || last.calls > calls ? none : last;
      const sum = this.#counts.get(key) ?? none;
      const hasFailed = errors > base.errors;
      this.#counts.delete(key);
      this.#counts.set(key, {
        calls: sum.calls + calls - base.calls,
        errors: sum.errors + Math.max(0, errors - base.errors),
        lastError: hasFailed ? (lastError ?? sum.lastError) : sum.lastError,
      });
    }
    this.#seen.set(worker, seen);
    for (const key of this.#counts.keys()) {
      if (this.#counts.size <= maxVersions) break;
      this.#counts.delete(key);
    }
  }

  /** That worker is gone; what it counted stays. */
  left(worker: number): void {
    this.#seen.delete(worker);
  }

  of(host: string, version: string): ScriptCount {
    return this.#counts.get(keyOf(host, version)) ?? none;
  }
}

function keyOf(host: string, version: string): string {
  return `${version} ${host}`;
}
