/**
 * What the gateways agree on for one host's script, as pure steps from one agreement document to the next.
 * Every gateway takes the same steps for the same reasons; whoever writes first, wins.
 */

import type { Agreement, NextVersion, Source, TakenBack } from "../../model/index.ts";
import type { Rollout } from "../../sandbox/index.ts";

const maxTakenBack = 20;
/** What a share of requests is counted in: of 10,000. */
const wholeShare = 10_000;

/** Before anything was agreed on. `live`: the version that serves all the same. */
export function beginning(live: string | null): Agreement {
  return { revision: 0, index: 0, live, before: null, next: null, takenBack: [] };
}

/**
 * A source passed its checks. A source that is older than the one that the agreement was made for changes
 * nothing: this gateway has yet to hear of the newer one. The same object when there is nothing to change.
 */
export function accept(
  agreement: Agreement,
  source: Pick<Source, "version" | "modifyIndex">,
  rollout: Rollout | null,
  nowMs: number,
): Agreement {
  if (source.modifyIndex <= agreement.index) return agreement;
  const { version, modifyIndex: index } = source;
  if (version === agreement.next?.version) return step(agreement, { index });
  // One that was taken back is not tried again, whatever was there in between.
  if (version === agreement.live || isTakenBack(agreement, version)) {
    return step(agreement, { index, next: null });
  }
  // Beside a version that is out of service there is nothing worth keeping for the rest.
  if (rollout !== null && rollout.percent < 100 && !isOut(agreement)) {
    const { percent, stepsMs, by } = rollout;
    return step(agreement, { index, next: { version, startedAt: nowMs, percent, stepsMs, by } });
  }
  const before = goodLive(agreement);
  return step(agreement, { index, live: version, liveSince: nowMs, before, next: null });
}

/**
 * A version fails. When it stalled a worker and there is nothing to go back to, it stays `live` and is out of
 * service. The same object when it cannot be, or has been, taken back.
 * @param mayGoBack whether the version before it may serve in its place.
 */
export function takeBack(agreement: Agreement, failed: TakenBack, mayGoBack = true): Agreement {
  const { version } = failed;
  const takenBack = [failed, ...agreement.takenBack].slice(0, maxTakenBack);
  if (agreement.next?.version === version) return step(agreement, { next: null, takenBack });
  if (agreement.live !== version || isTakenBack(agreement, version)) return agreement;
  if (agreement.before !== null && mayGoBack) {
    return step(agreement, {
      live: agreement.before,
      liveSince: failed.at,
      before: null,
      takenBack,
    });
  }
  return failed.stalled === undefined ? agreement : step(agreement, { takenBack });
}

/**
 * A module changed that the out-of-service version imports, so that version is tried again. What stalled a
 * worker after `atMs` stays known.
 */
export function mend(agreement: Agreement, version: string, atMs: number): Agreement {
  const takenBack = agreement.takenBack.filter((one) => one.version !== version || one.at > atMs);
  const isMended = agreement.live === version && takenBack.length < agreement.takenBack.length;
  return isMended ? step(agreement, { takenBack }) : agreement;
}

/** Ends a rollout whose last step is over. */
export function widen(agreement: Agreement, nowMs: number): Agreement {
  const { next } = agreement;
  if (next === null || shareOf(next, nowMs) < wholeShare) return agreement;
  return step(agreement, {
    live: next.version,
    liveSince: nowMs,
    before: goodLive(agreement),
    next: null,
  });
}

/** The script was removed. What was taken back stays known, except a live version that was out of service. */
export function remove(agreement: Agreement): Agreement {
  if (agreement.live === null && agreement.next === null) return agreement;
  const takenBack = agreement.takenBack.filter(({ version }) => version !== agreement.live);
  return step(agreement, { live: null, before: null, next: null, takenBack });
}

export function isTakenBack(agreement: Agreement | null, version: string): boolean {
  return agreement?.takenBack.some((one) => one.version === version) ?? false;
}

/** Whether what is live is out of service: it stalled a worker, and nothing could take its place. */
export function isOut({ live, takenBack }: Agreement): boolean {
  return takenBack.some(({ version }) => version === live);
}

/** What stalled a worker and is not run; `undefined` for a version that may be. */
export function stallOf(agreement: Agreement | null, version: string): TakenBack | undefined {
  return agreement?.takenBack.find((one) => one.version === version && one.stalled !== undefined);
}

/** The share of the requests that a version has at this time, of 10,000: it grows evenly, step by step. */
export function shareOf(next: NextVersion, nowMs: number): number {
  const { percent, stepsMs, startedAt } = next;
  let steps = 0;
  let endsAt = startedAt;
  for (const stepMs of stepsMs) {
    endsAt += stepMs;
    if (nowMs < endsAt) break;
    steps += 1;
  }
  const grown = percent + ((100 - percent) * steps) / stepsMs.length;
  return Math.max(1, Math.round((grown * wholeShare) / 100));
}

/** When the share grows next, in milliseconds since the epoch. */
export function nextStepAt(next: NextVersion, nowMs: number): number {
  let endsAt = next.startedAt;
  for (const stepMs of next.stepsMs) {
    endsAt += stepMs;
    if (nowMs < endsAt) break;
  }
  return endsAt;
}

/** The live version, if another one may be taken back to it; `null`: there is none, or it is out of service. */
function goodLive(agreement: Agreement): string | null {
  return isOut(agreement) ? null : agreement.live;
}

function step(agreement: Agreement, changes: Partial<Agreement>): Agreement {
  return { ...agreement, ...changes, revision: agreement.revision + 1 };
}
