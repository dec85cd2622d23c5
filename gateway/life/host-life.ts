/**
 * What one gateway knows of one host's script: what Consul has, what is agreed on, what serves. Works
 * out the next agreement; fetches and writes nothing.
 */
import type { Rollout } from "../sandbox/index.ts";
import type {
  Change,
  Closed,
  LifeDocument,
  OutOfService,
  Source,
  TakenBack,
  Trial,
} from "../state/index.ts";
import { accept, beginning, stallOf, takeBack, widen } from "./agreement.ts";
import { Findings } from "./findings.ts";
import type { Window } from "./schedule.ts";

/** What is to serve a host. */
export interface Served {
  readonly script: Source | null;
  readonly trial: Trial | null;
  /** What would serve but for its schedule; `null`: nothing. */
  readonly closed: Closed | null;
}

export const nothingServed: Served = { script: null, trial: null, closed: null };

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
  #closed: Closed | null = null;
  /** Earlier versions that are needed again. */
  readonly #found = new Map<string, Source>();
  readonly #fetching = new Set<string>();
  /** Not to be had, and until when. */
  readonly #lost = new Map<string, number>();
  readonly #windows = new Map<string, Window>();
  readonly #findings = new Findings();
  /** A version that fails too often with nothing to go back to; `reason`: as long as it does. */
  #hopeless: { readonly version: string; readonly reason: string | null } | null = null;
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
    this.#findings.clear();
  }

  /**
   * A watch brought this document. One that is older than what is known was on its way while this gateway
   * wrote, or somebody put an older one back: only another reading can tell.
   */
  heard(life: LifeDocument | null): void {
    const isOlder = life !== null && this.#agreed !== null && life.revision < this.#agreed.revision;
    if (isOlder) this.doubt();
    else this.learned(life);
  }

  /** This is what Consul has now. */
  learned(life: LifeDocument | null): void {
    this.#agreed = life;
    this.#isInDoubt = false;
    this.#findings.heard(life);
  }

  /**
   * A version fails too often on this gateway, or stalled a worker. Returns what follows from it: it will
   * be taken back, that was known, or there is nothing to take it back to.
   */
  fail(failed: TakenBack): "new" | "known" | "hopeless" {
    const { version, at, stalled } = failed;
    if (this.#findings.failureOf(version) !== undefined) return "known";
    // What to go back to is not known without Consul; that it must not run is.
    const isAlone = this.isUnknown && stalled !== undefined && this.#serves(version);
    const life = this.desired(null, at);
    if (!isAlone && (life === null || takeBack(life, failed) === life)) {
      if (life?.live !== version || stalled !== undefined) return "known";
      const isNews = this.#hopeless?.version !== version;
      this.#hopeless = { version, reason: failed.reason };
      return isNews ? "hopeless" : "known";
    }
    this.#findings.fail(failed);
    return "new";
  }

  /** Which versions fail too often now. */
  failsNow(versions: ReadonlySet<string>): void {
    if (this.#hopeless === null || versions.has(this.#hopeless.version)) return;
    this.#hopeless = { version: this.#hopeless.version, reason: null };
  }

  /** Why the version that is live was to be taken back, while there is nothing to take it back to. */
  hopeless(live: string | null): string | null {
    return this.#hopeless?.version === live ? this.#hopeless.reason : null;
  }

  /** A module changed that a version imports which is out of service. False when there is no such version. */
  mend(modules: ReadonlySet<string>, atMs: number): boolean {
    const source = this.#script;
    if (source?.outOfService === undefined) return false;
    const { version, text } = source;
    if (![...modules].some((name) => text.includes(`modules/${name}`))) return false;
    this.#findings.mend(version, atMs);
    return true;
  }

  /** Why a version must not run, by what is agreed on, or by what this gateway alone knows yet. */
  outOfService(agreed: LifeDocument | null, version: string): OutOfService | null {
    const known = stallOf(agreed, version) ?? this.#findings.failureOf(version);
    if (known?.stalled !== undefined) return { reason: known.reason, ...known.stalled };
    const before = this.isUnknown ? this.#script : null;
    return before?.version === version ? (before.outOfService ?? null) : null;
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
    return widen(this.#findings.apply(life), nowMs);
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
    const here = [this.#accepted, ...this.#served(), this.#found.get(version)];
    const source = here.find((one) => one?.version === version) ?? null;
    return source === null ? null : inService(source);
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
    // Beside it, at most that of a version on trial.
    if (this.#windows.size > 1) this.#windows.clear();
    this.#windows.set(version, window);
    return window;
  }

  /** What serves at the start, out of a snapshot. */
  begin({ script, trial, closed }: Served): void {
    this.#script = script;
    this.#trial = trial;
    this.#closed = closed;
  }

  /** What serves, or would but for its schedule. */
  get served(): { readonly script: Source | null; readonly trial: Trial | null } {
    const script = this.#script ?? this.#closed?.script ?? null;
    return {
      script: script === null ? null : inService(script),
      trial: this.#trial ?? this.#closed?.trial ?? null,
    };
  }

  inService(): readonly Source[] {
    const sources = [...this.#served(), ...this.#found.values()];
    return sources.filter((source) => source !== undefined && source !== null);
  }

  /** What has to change for these to serve. */
  show(host: string, { script, trial, closed }: Served): readonly Change[] {
    const changes: Change[] = [];
    if (!isSame(script, this.#script)) {
      // A version that leaves service may be gone back to.
      if (this.#script !== null) this.#found.set(this.#script.version, this.#script);
      changes.push({ kind: "script", key: host, value: script });
    }
    const wasClosed = this.#closed ?? { script: null, trial: null };
    const isClosed = closed ?? { script: null, trial: null };
    const isSameClosed =
      isSame(isClosed.script, wasClosed.script) &&
      isSame(isClosed.trial?.source ?? null, wasClosed.trial?.source ?? null);
    if (!isSameClosed) changes.push({ kind: "closed", key: host, value: closed });
    this.#closed = closed;
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
      !this.#findings.isEmpty ||
      this.#noWriteBeforeMs > 0 ||
      this.#agreed?.next != null ||
      this.#windows.size > 0 ||
      (this.#agreed?.live != null && this.#script?.version !== this.#agreed.live)
    );
  }

  #serves(version: string): boolean {
    return this.#served().some((source) => source?.version === version);
  }

  #served(): readonly (Source | null | undefined)[] {
    const { script, trial } = this.served;
    return [this.#script, this.#trial?.source, script, trial?.source];
  }

  /** Where Consul has nothing, or no more: what this gateway remembers, or at least what serves. */
  #withoutConsul(): LifeDocument {
    if (this.#agreed === null) return beginning(this.served.script?.version ?? null);
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
  return a?.version === b?.version && a?.outOfService?.reason === b?.outOfService?.reason;
}

function inService({ outOfService: _, ...source }: Source): Source {
  return source;
}
