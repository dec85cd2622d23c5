/**
 * What the gateways agree on for one host's script, as pure steps from one life document to the next.
 * Every gateway takes the same steps for the same reasons; whoever writes first, wins.
 */

import type { LifeDocument, NextVersion, Source, TakenBack } from "../../model/index.ts";
import type { Rollout } from "../../sandbox/index.ts";

const maxTakenBack = 20;
/** What a share of requests is counted in: of 10,000. */
export const wholeShare = 10_000;

/** Before anything was agreed on. `live`: the version that serves all the same. */
export function beginning(live: string | null): LifeDocument {
  return { revision: 0, index: 0, live, before: null, next: null, takenBack: [] };
}

/**
 * A source passed its checks. A source that is older than what was decided for changes nothing: this
 * gateway has yet to hear of the newer one. The same object when there is nothing to change.
 */
export function accept(
  life: LifeDocument,
  source: Pick<Source, "version" | "modifyIndex">,
  rollout: Rollout | null,
  nowMs: number,
): LifeDocument {
  if (source.modifyIndex <= life.index) return life;
  const { version, modifyIndex: index } = source;
  if (version === life.next?.version) return step(life, { index });
  // One that was taken back is not tried again, whatever was there in between.
  if (version === life.live || isTakenBack(life, version)) {
    return step(life, { index, next: null });
  }
  // Beside a version that is out of service there is nothing worth keeping for the rest.
  if (rollout !== null && rollout.percent < 100 && !isOut(life)) {
    const { percent, stepsMs, by } = rollout;
    return step(life, { index, next: { version, startedAt: nowMs, percent, stepsMs, by } });
  }
  const before = goodLive(life);
  return step(life, { index, live: version, liveSince: nowMs, before, next: null });
}

/**
 * A version fails. One that stalled a worker stays `live` where there is nothing to go back to, and is
 * out of service. The same object when it cannot be, or has been, taken back.
 * @param mayGoBack whether the version before it may serve in its place.
 */
export function takeBack(life: LifeDocument, failed: TakenBack, mayGoBack = true): LifeDocument {
  const { version } = failed;
  const takenBack = [failed, ...life.takenBack].slice(0, maxTakenBack);
  if (life.next?.version === version) return step(life, { next: null, takenBack });
  if (life.live !== version || isTakenBack(life, version)) return life;
  if (life.before !== null && mayGoBack) {
    return step(life, { live: life.before, liveSince: failed.at, before: null, takenBack });
  }
  return failed.stalled === undefined ? life : step(life, { takenBack });
}

/**
 * A module changed that the version imports which is out of service: it is tried again. What stalled a
 * worker after `atMs` stays known.
 */
export function mend(life: LifeDocument, version: string, atMs: number): LifeDocument {
  const takenBack = life.takenBack.filter((one) => one.version !== version || one.at > atMs);
  const isMended = life.live === version && takenBack.length < life.takenBack.length;
  return isMended ? step(life, { takenBack }) : life;
}

/** Ends a rollout whose last step is over. */
export function widen(life: LifeDocument, nowMs: number): LifeDocument {
  const { next } = life;
  if (next === null || shareOf(next, nowMs) < wholeShare) return life;
  return step(life, { live: next.version, liveSince: nowMs, before: goodLive(life), next: null });
}

/** The script was removed. What was taken back stays known, but for what was out of service with it. */
export function remove(life: LifeDocument): LifeDocument {
  if (life.live === null && life.next === null) return life;
  const takenBack = life.takenBack.filter(({ version }) => version !== life.live);
  return step(life, { live: null, before: null, next: null, takenBack });
}

export function isTakenBack(life: LifeDocument | null, version: string): boolean {
  return life?.takenBack.some((one) => one.version === version) ?? false;
}

/** Whether what is live is out of service: it stalled a worker, and nothing could take its place. */
export function isOut({ live, takenBack }: LifeDocument): boolean {
  return takenBack.some(({ version }) => version === live);
}

/** What stalled a worker and is not run; `undefined` for a version that may be. */
export function stallOf(life: LifeDocument | null, version: string): TakenBack | undefined {
  return life?.takenBack.find((one) => one.version === version && one.stalled !== undefined);
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

/** What may be gone back to. */
function goodLive(life: LifeDocument): string | null {
  return isOut(life) ? null : life.live;
}

function step(life: LifeDocument, changes: Partial<LifeDocument>): LifeDocument {
  return { ...life, ...changes, revision: life.revision + 1 };
}
