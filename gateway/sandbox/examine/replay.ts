/**
 * Calls a version with requests that failed, in the isolate that it was loaded into, and gives the outcome of
 * each. Runs in the process that examines sources; nothing of it reaches a client or an origin.
 */
import type { Border, FailedRequest } from "../../model/index.ts";
import type { Loaded } from "../run/loading.ts";
import { matchesExchange } from "../run/match.ts";
import { applyToRequest, applyToResponse } from "../run/output.ts";
import { readRequestText } from "../run/request-text.ts";
import type { ReplayOutcome } from "../sandbox.ts";
import { callWithin, ExaminedRequest, readResult } from "./examined-request.ts";

/** How many requests are tried. */
const maxReplayed = 4;

export interface ReplayOptions {
  readonly loaded: Loaded;
  readonly key: string;
  /** What the script is held to; `null` where there is one tenant. */
  readonly border: Border | null;
  /** Called before each request, which count from 1; when it throws, the replay ends. */
  readonly onRequest: (number: number) => void;
  /** Of one call: the limit that the script will run with. */
  readonly timeoutMs: number;
}

export async function replayAll(
  requests: readonly FailedRequest[],
  options: ReplayOptions,
): Promise<readonly ReplayOutcome[]> {
  const outcomes: ReplayOutcome[] = [];
  for (const request of requests.slice(0, maxReplayed)) {
    options.onRequest(outcomes.length + 1);
    outcomes.push(await replay(request, options));
  }
  return outcomes;
}

async function replay(failed: FailedRequest, options: ReplayOptions): Promise<ReplayOutcome> {
  const { loaded, key, timeoutMs } = options;
  const { request, response } = failed;
  const { entry, match, hasOnRequest, hasOnResponse } = loaded;
  try {
    if (response !== null) {
      if (!hasOnResponse) return "passed";
      const { status, rawHeaders } = response;
      const text = await callWithin(entry.onResponse, [status, rawHeaders, request], timeoutMs);
      applyToResponse(readResult(key, text, loaded.columnOf), unseen);
      return "passed";
    }
    const { method, path, host, target } = readRequestText(request);
    if (!hasOnRequest || !matchesExchange(match, { method, path })) return "passed";
    const replayed = new ExaminedRequest(target, host);
    const text = await callWithin(entry.onRequest, [request], timeoutMs);
    const steering = { upstream: "", hashKey: "", authority: "" };
    applyToRequest(readResult(key, text, loaded.columnOf), replayed, steering, options.border);
    if (replayed.answered === null) return "passed";
    return replayed.answered.status < 400 ? "answered" : "refused";
  } catch (error) {
    if (error instanceof Error) return "failed";
    throw error;
  }
}

const unseen = {
  setResponseHeader: () => {},
  addResponseHeader: () => {},
  removeResponseHeader: () => {},
};
