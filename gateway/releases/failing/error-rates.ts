/**
 * Which versions of scripts fail too often: sums what all workers of a gateway report over a sliding
 * window. Takes nothing back itself.
 */

import type { FailedRequest, FailureEvidence, ScriptReport } from "../../model/index.ts";
import { defaultTakeBack, type Threshold } from "../../sandbox/index.ts";

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
  /** Of the requests that failed, the latest first. */
  readonly samples: readonly FailedRequest[];
}

interface Track {
  readonly host: string;
  readonly version: string;
  readonly last: Map<number, { readonly calls: number; readonly errors: number }>;
  readonly steps: { readonly atMs: number; readonly calls: number; readonly errors: number }[];
  /** When each client's request failed last, and when one called last, as far as workers tell. */
  readonly clients: Map<string, number>;
  readonly callers: Map<string, number>;
  samples: readonly { readonly atMs: number; readonly request: FailedRequest }[];
  lastError: string | null;
}

/** More than any threshold needs. */
const maxClients = 64;
const maxSamples = 4;
/** Of all versions: each has up to 40 kB. */
const maxAllSamples = 400;

export class ErrorRates {
  readonly #thresholdOf: (version: string) => Threshold;
  #tracks = new Map<string, Track>();

  /** @param thresholdOf what each version has declared. Default: the same for all. */
  constructor(thresholdOf: (version: string) => Threshold = () => defaultTakeBack) {
    this.#thresholdOf = thresholdOf;
  }

  /** The latest report of every worker that lives; those of workers that are gone are left out. */
  take(nowMs: number, reports: readonly WorkerScriptReport[]): void {
    const tracks = new Map<string, Track>();
    for (const report of reports) {
      const key = `${report.version} ${report.host}`;
      const track = tracks.get(key) ?? this.#tracks.get(key) ?? begin(report);
      tracks.set(key, track);
      const { worker, calls, errors, callers = [], failed } = report;
      const before = track.last.get(worker);
      track.last.set(worker, { calls, errors });
      // A counter that went down began anew, because the worker rebuilt the isolate.
      const base = before === undefined || before.calls > calls ? { calls: 0, errors: 0 } : before;
      const step = { atMs: nowMs, calls: calls - base.calls, errors: errors - base.errors };
      if (step.calls > 0 || step.errors > 0) track.steps.push(step);
      if (step.errors > 0) track.lastError = report.lastError;
      if (step.calls > 0) for (const client of callers) see(track.callers, client, nowMs);
      if (step.errors > 0 && failed !== undefined) note(track, failed, base.errors, nowMs);
    }
    for (const track of tracks.values()) {
      const { steps, clients, callers } = track;
      const { windowMs } = this.#thresholdOf(track.version);
      const isOver = (atMs: number) => atMs <= nowMs - windowMs;
      const first = steps.findIndex(({ atMs }) => !isOver(atMs));
      steps.splice(0, first === -1 ? steps.length : first);
      for (const seen of [clients, callers]) {
        for (const [client, atMs] of seen) if (isOver(atMs)) seen.delete(client);
      }
      track.samples = track.samples.filter(({ atMs }) => !isOver(atMs));
    }
    this.#tracks = tracks;
    let left = maxAllSamples;
    for (const track of tracks.values()) {
      if (track.samples.length > left) track.samples = track.samples.slice(0, left);
      left -= track.samples.length;
    }
  }

  /** Those beyond the threshold, in the window up to the last `take`. */
  failing(): readonly Failing[] {
    const found: Failing[] = [];
    for (const { host, version, steps, lastError, ...seen } of this.#tracks.values()) {
      const { minErrors, maxErrorShare, minClients } = this.#thresholdOf(version);
      let calls = 0;
      let errors = 0;
      for (const step of steps) {
        calls += step.calls;
        errors += step.errors;
      }
      if (errors < minErrors || errors <= calls * maxErrorShare) continue;
      // One of many clients proves nothing, but all that there are do.
      if (seen.clients.size < Math.min(minClients, seen.callers.size)) continue;
      const samples = seen.samples.map(({ request }) => request);
      found.push({ host, version, calls, errors, lastError, samples });
    }
    return found;
  }
}

/** @param known errors that were reported before. */
function note(track: Track, failed: FailureEvidence, known: number, nowMs: number): void {
  for (const [client, error] of failed.clients) {
    if (error <= known) continue;
    see(track.clients, client, nowMs);
    see(track.callers, client, nowMs);
  }
  const fresh = failed.samples
    .filter(({ error }) => error > known)
    .map((request) => ({ atMs: nowMs, request }));
  track.samples = [...fresh, ...track.samples].slice(0, maxSamples);
}

function see(seen: Map<string, number>, client: string, nowMs: number): void {
  seen.delete(client);
  seen.set(client, nowMs);
  for (const oldest of seen.keys()) {
    if (seen.size <= maxClients) break;
    seen.delete(oldest);
  }
}

function begin({ host, version }: ScriptReport): Track {
  const seen = { clients: new Map(), callers: new Map(), samples: [] };
  return { host, version, last: new Map(), steps: [], lastError: null, ...seen };
}
