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

/** The same of all versions of a host's script, with the milliseconds that they took. */
export interface HostCount {
  readonly calls: number;
  readonly errors: number;
  readonly ranMs: number;
}

type Seen = HostCount;

/** Versions that are remembered; beyond, the one that was reported longest ago goes. */
const maxVersions = 10_000;
/** The same of hosts. */
const maxHosts = 10_000;
const none: ScriptCount = { calls: 0, errors: 0, lastError: null };
const nothing: HostCount = { calls: 0, errors: 0, ranMs: 0 };

export class ScriptCounters {
  /** By version and host, the one that was reported last at the end. */
  readonly #counts = new Map<string, ScriptCount>();
  /** By host, the one that was reported last at the end. */
  readonly #hosts = new Map<string, HostCount>();
  /** What each worker reported last. */
  readonly #seen = new Map<number, ReadonlyMap<string, Seen>>();

  /** The counters of one worker, as they stand there. */
  take(worker: number, reports: readonly ScriptReport[]): void {
    const before = this.#seen.get(worker);
    const seen = new Map<string, Seen>();
    for (const { host, version, calls, errors, lastError, ranMs = 0 } of reports) {
      const key = keyOf(host, version);
      seen.set(key, { calls, errors, ranMs });
      const last = before?.get(key);
      // What is lower than before began anew.
      const base = last === undefined || last.calls > calls ? nothing : last;
      const sum = this.#counts.get(key) ?? none;
      this.#addTo(host, {
        calls: calls - base.calls,
        errors: Math.max(0, errors - base.errors),
        ranMs: Math.max(0, ranMs - base.ranMs),
      });
      const hasFailed = errors > base.errors;
      this.#counts.delete(key);
      this.#counts.set(key, {
        calls: sum.calls + calls - base.calls,
        errors: sum.errors + Math.max(0, errors - base.errors),
        lastError: hasFailed ? (lastError ?? sum.lastError) : sum.lastError,
      });
    }
    this.#seen.set(worker, seen);
    forgetBeyond(maxVersions, this.#counts);
    forgetBeyond(maxHosts, this.#hosts);
  }

  /** That worker is gone; what it counted stays. */
  left(worker: number): void {
    this.#seen.delete(worker);
  }

  /** Of every host whose script was reported. */
  hosts(): ReadonlyMap<string, HostCount> {
    return this.#hosts;
  }

  of(host: string, version: string): ScriptCount {
    return this.#counts.get(keyOf(host, version)) ?? none;
  }

  #addTo(host: string, { calls, errors, ranMs }: HostCount): void {
    const sum = this.#hosts.get(host) ?? nothing;
    this.#hosts.delete(host);
    this.#hosts.set(host, {
      calls: sum.calls + calls,
      errors: sum.errors + errors,
      ranMs: sum.ranMs + ranMs,
    });
  }
}

function keyOf(host: string, version: string): string {
  return `${version} ${host}`;
}

function forgetBeyond(most: number, counts: Map<string, unknown>): void {
  for (const key of counts.keys()) {
    if (counts.size <= most) break;
    counts.delete(key);
  }
}
