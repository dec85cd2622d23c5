/**
 * Which clients' calls of one version fail in this worker, and a few of the failed requests, so that the
 * primary can tell a broken version from a client that breaks it. Bounded in all that it keeps; a call that
 * does not fail costs a comparison.
 */
import { networkOf } from "../../engine/message/address-blocks.ts";
import type { FailedRequest, FailureEvidence, ScriptReport } from "../../model/index.ts";
import { keptHeaders, keptText } from "./request-text.ts";

/** Clients that are told apart: more than any version needs to be taken back. */
const maxClients = 16;
/** Between two reports so many calls are looked at one by one, and then one in `sampleEvery`. */
const lookClosely = 32;
const sampleEvery = 61;
/** Callers are remembered for once to twice as many reports. */
const callerReports = 10;
/** What was found is reported again, since the primary looks at the latest report only. */
const reportTimes = 3;

export class Failures {
  /** The number of the next call whose client is worth a look. */
  nextLook = 1;
  #looks = 0;
  #callers = new Set<string>();
  #callersBefore: ReadonlySet<string> = new Set();
  #reports = 0;
  /** By client, the number of its last error. */
  readonly #clients = new Map<string, number>();
  #samples: readonly (FailedRequest & { readonly by: string })[] = [];
  #areOld = false;
  #timesLeft = 0;

  /** Looks at the client of this call; calls count from 1. @param most clients that are worth knowing. */
  look(call: number, client: string, most: number): void {
    if (this.#callers.size < most) this.#callers.add(networkOf(client));
    this.#looks += 1;
    if (this.#callers.size >= most) this.nextLook = Number.POSITIVE_INFINITY;
    else this.nextLook = call + (this.#looks < lookClosely ? 1 : sampleEvery);
  }

  /** @param error its number, from 1. @param request the whole text of it. */
  failed(
    error: number,
    client: string,
    request: string,
    response: { readonly status: number; readonly rawHeaders: string } | null,
  ): void {
    const by = networkOf(client);
    this.#timesLeft = reportTimes;
    this.#clients.delete(by);
    this.#clients.set(by, error);
    for (const oldest of this.#clients.keys()) {
      if (this.#clients.size <= maxClients) break;
      this.#clients.delete(oldest);
    }
    const before = this.#areOld ? [] : this.#samples;
    const [first] = before;
    // One client that fails all the time must not hide how the others fail.
    if (first !== undefined && first.by === by) return;
    this.#areOld = false;
    const answer =
      response === null ? null : { ...response, rawHeaders: keptHeaders(response.rawHeaders) };
    const sample = { error, request: keptText(request), response: answer, by };
    this.#samples = first === undefined ? [sample] : [first, sample];
  }

  /** Some of the clients that called lately, whatever the outcome. */
  callers(): readonly string[] {
    return [...this.#callersBefore.union(this.#callers)];
  }

  /** What there is to say; `null` when nothing failed of late. Once a second. */
  report(calls: number): FailureEvidence | null {
    this.nextLook = calls + 1;
    this.#looks = 0;
    this.#reports += 1;
    if (this.#reports % callerReports === 0) {
      this.#callersBefore = this.#callers;
      this.#callers = new Set();
    }
    if (this.#timesLeft === 0) return null;
    this.#timesLeft -= 1;
    this.#areOld = true;
    const evidence = {
      clients: [...this.#clients],
      samples: this.#samples.map(({ by: _, ...sample }) => sample),
    };
    if (this.#timesLeft === 0) {
      this.#clients.clear();
      this.#samples = [];
    }
    return evidence;
  }
}

/** What all samples of one report may have together, in characters. */
const maxReported = 1_048_576;

/** Takes samples out of reports that would be too long with them, in another order each time. */
export class SampleBudget {
  #turn = 0;

  within(reports: readonly ScriptReport[]): readonly ScriptReport[] {
    const failing = reports.filter(({ failed }) => failed !== undefined);
    if (failing.length === 0) return reports;
    this.#turn += 1;
    const first = this.#turn % failing.length;
    const left = new Set<ScriptReport>();
    let room = maxReported;
    for (const report of [...failing.slice(first), ...failing.slice(0, first)]) {
      for (const { request, response } of report.failed?.samples ?? []) {
        room -= request.length + (response?.rawHeaders.length ?? 0);
      }
      if (room < 0) left.add(report);
    }
    if (left.size === 0) return reports;
    return reports.map((report) =>
      report.failed !== undefined && left.has(report)
        ? { ...report, failed: { ...report.failed, samples: [] } }
        : report,
    );
  }
}
