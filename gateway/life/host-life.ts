/**
 * What one gateway knows of one host's script: what Consul has, what is agreed on, what serves. Works
 * out the next agreement; fetches and writes nothing.
 */
import type { Rollout } from "../sandbox/index.ts";
import type { Change, LifeDocument, Source, Trial } from "../state/index.ts";
import { accept, beginning, takeBack, widen } from "./agreement.ts";
import type { Window } from "./schedule.ts";

interface Failure {
  readonly version: string;
  readonly reason: string;
  readonly atMs: number;
}

/** How long a source may be older than what was decided for before that is looked into. */
const doubtMs = 5_000;

export class HostLife {
  /** Of the version that is out of service for its schedule; `null` when none is. */
  closedUntil: number | null = null;
  #agreed: LifeDocument | null = null;
  #accepted: Source | null = null;
  #acceptedAtMs = 0;
  /** `refused`: Consul has a source that did not pass. */
  #presence: "unknown" | "accepted" | "refused" | "gone" = "unknown";
  #script: Source | null = null;
  #trial: Trial | null = null;
  /** Earlier versions that are needed again. */
  readonly #found = new Map<string, Source>();
  readonly #fetching = new Set<string>();
  /** Not to be had, and until when. */
  readonly #lost = new Map<string, number>();
  readonly #windows = new Map<string, Window>();
  #failures: readonly Failure[] = [];
  /** A version of which it was said that there is nothing to go back to. */
  #hopeless: string | null = null;
  #doubtSinceMs: number | null = null;
  #isInDoubt = false;
  #isWriting = false;
  #writeAgain = false;
  #noWriteBeforeMs = 0;

  /** What Consul has, as far as this gateway knows. */
  get agreed(): LifeDocument | null {
    return this.#agreed;
  }

  /** What is in KV, when it passed its checks. */
  get accepted(): Source | null {
    return this.#accepted;
  }

  /** Nothing was heard yet of what Consul has. */
  get isUnknown(): boolean {
    return this.#presence === "unknown";
  }

  get isGone(): boolean {
    return this.#presence === "gone";
  }

  accept(source: Source, nowMs: number): void {
    this.#presence = "accepted";
    this.#accepted = source;
    this.#acceptedAtMs = nowMs;
  }

  refuse(): void {
    this.#presence = "refused";
    this.#accepted = null;
  }

  drop(): void {
    this.#presence = "gone";
    this.#accepted = null;
    this.#failures = [];
  }

  /** A watch brought this document; one that is older than what is known says nothing. */
  heard(life: LifeDocument | null): void {
    if (life !== null && this.#agreed !== null && life.revision < this.#agreed.revision) return;
    this.learned(life);
  }

  /** This is what Consul has now. */
  learned(life: LifeDocument | null): void {
    this.#agreed = life;
    this.#isInDoubt = false;
    this.#failures = this.#failures.filter(
      ({ version }) => version === life?.live || version === life?.next?.version,
    );
  }

  /**
   * A version fails too often on this gateway. Returns what follows from it: it will be taken back, that
   * was known, or there is nothing to take it back to.
   */
  fail(version: string, reason: string, atMs: number): "new" | "known" | "hopeless" {
    if (this.#failures.some((one) => one.version === version)) return "known";
    const life = this.desired(null, atMs);
    if (life === null || takeBack(life, version, reason, atMs) === life) {
      const isNews = life?.live === version && this.#hopeless !== version;
      if (isNews) this.#hopeless = version;
      return isNews ? "hopeless" : "known";
    }
    this.#failures = [...this.#failures, { version, reason, atMs }];
    return "new";
  }

  /** What should be agreed on next; the same object as `agreed` when nothing new is known. */
  desired(rollout: Rollout | null, nowMs: number): LifeDocument | null {
    return this.desiredFrom(this.#agreed, rollout, nowMs);
  }

  desiredFrom(
    agreed: LifeDocument | null,
    rollout: Rollout | null,
    nowMs: number,
  ): LifeDocument | null {
    let life = agreed;
    if (this.#accepted !== null) {
      const known = life ?? this.#withoutConsul();
      life = accept(known, this.#accepted, rollout, this.#acceptedAtMs);
    }
    if (life === null) return null;
    for (const { version, reason, atMs } of this.#failures) {
      life = takeBack(life, version, reason, atMs);
    }
    return widen(life, nowMs);
  }

  /** Consul may have lost what was agreed on, whatever the indexes say. */
  doubt(): void {
    this.#isInDoubt = true;
  }

  /**
   * Whether what Consul has should be read again: there is doubt, or the source is older than what was
   * decided for, and stays so. Either its watch is slow, or Consul has lost its data and counts anew.
   */
  isDoubtful(nowMs: number): boolean {
    if (this.#isInDoubt) return true;
    const { index = 0, live = null, next = null, takenBack = [] } = this.#agreed ?? {};
    const { version = "", modifyIndex = index } = this.#accepted ?? {};
    const isKnown = version === live || version === next?.version;
    const isOld = modifyIndex < index && !isKnown;
    if (!isOld || takenBack.some((one) => one.version === version)) {
      this.#doubtSinceMs = null;
      return false;
    }
    this.#doubtSinceMs ??= nowMs;
    if (nowMs - this.#doubtSinceMs < doubtMs) return false;
    this.#doubtSinceMs = nowMs;
    return true;
  }

  /** The source of a version, if it is here. */
  find(version: string): Source | null {
    const here = [this.#accepted, this.#script, this.#trial?.source, this.#found.get(version)];
    return here.find((source) => source?.version === version) ?? null;
  }

  /** False when it is under way already. */
  beginFetch(version: string): boolean {
    if (this.#fetching.has(version)) return false;
    this.#fetching.add(version);
    return true;
  }

  endFetch(version: string): void {
    this.#fetching.delete(version);
  }

  found(source: Source): void {
    this.#fetching.delete(source.version);
    this.#lost.delete(source.version);
    this.#found.clear();
    this.#found.set(source.version, source);
  }

  /** It cannot be had; looked for again at `retryAtMs`. Default: never. */
  lost(version: string, retryAtMs = Number.POSITIVE_INFINITY): void {
    this.#fetching.delete(version);
    this.#lost.set(version, retryAtMs);
  }

  /** Whether it cannot be had: not now, or not at all. */
  lossOf(version: string): "none" | "for now" | "for good" {
    const retryAtMs = this.#lost.get(version);
    if (retryAtMs === undefined) return "none";
    return retryAtMs === Number.POSITIVE_INFINITY ? "for good" : "for now";
  }

  /** The window of a version's schedule, worked out anew when it has changed. */
  window(version: string, nowMs: number, compute: () => Window): Window {
    const known = this.#windows.get(version);
    if (known !== undefined && nowMs < known.until) return known;
    const window = compute();
    this.#windows.clear();
    this.#windows.set(version, window);
    return window;
  }

  /** What serves at the start, out of a snapshot. */
  serve(source: Source): void {
    this.#script = source;
  }

  serveTrial(trial: Trial): void {
    this.#trial = trial;
  }

  inService(): readonly Source[] {
    const sources = [this.#script, this.#trial?.source, ...this.#found.values()];
    return sources.filter((source) => source !== undefined && source !== null);
  }

  /** What has to change for these to serve. */
  show(host: string, script: Source | null, trial: Trial | null): readonly Change[] {
    const changes: Change[] = [];
    if (!isSame(script, this.#script)) {
      // A version that leaves service may be gone back to.
      if (this.#script !== null) this.#found.set(this.#script.version, this.#script);
      changes.push({ kind: "script", key: host, value: script });
    }
    const isSameTrial =
      isSame(trial?.source ?? null, this.#trial?.source ?? null) &&
      trial?.share === this.#trial?.share &&
      trial?.by === this.#trial?.by;
    if (!isSameTrial) changes.push({ kind: "trial", key: host, value: trial });
    this.#script = script;
    this.#trial = trial;
    this.#forgetFound();
    return changes;
  }

  /** False when a write runs, which is followed by another one, or the last one failed just now. */
  beginWrite(nowMs: number): boolean {
    if (this.#isWriting) this.#writeAgain = true;
    if (this.#isWriting || nowMs < this.#noWriteBeforeMs) return false;
    this.#isWriting = true;
    this.#writeAgain = false;
    return true;
  }

  /** `retryAtMs`: it failed, and is not tried before. */
  endWrite(retryAtMs: number | null): void {
    this.#isWriting = false;
    this.#noWriteBeforeMs = retryAtMs ?? 0;
  }

  /** Whether time alone may have changed what should serve. */
  needsLook(nowMs: number): boolean {
    for (const [version, retryAtMs] of this.#lost) {
      if (nowMs >= retryAtMs) this.#lost.delete(version);
    }
    return (
      this.#isWriting ||
      this.#isInDoubt ||
      this.#doubtSinceMs !== null ||
      this.#writeAgain ||
      this.#failures.length > 0 ||
      this.#noWriteBeforeMs > 0 ||
      this.#agreed?.next != null ||
      this.#windows.size > 0 ||
      (this.#agreed?.live != null && this.#script?.version !== this.#agreed.live)
    );
  }

  /** Where Consul has nothing, or no more: what this gateway remembers, or at least what serves. */
  #withoutConsul(): LifeDocument {
    if (this.#agreed === null) return beginning(this.#script?.version ?? null);
    return { ...this.#agreed, index: 0 };
  }

  /** Only the version before the one that is live can be needed again. */
  #forgetFound(): void {
    const { live, before } = this.#agreed ?? { live: null, before: null };
    for (const version of this.#found.keys()) {
      const isNeeded = version === live || version === before;
      if (!isNeeded && this.#agreed !== null) this.#found.delete(version);
    }
  }
}

function isSame(a: Source | null, b: Source | null): boolean {
  return a?.version === b?.version;
}
