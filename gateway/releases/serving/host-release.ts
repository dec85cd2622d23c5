/**
 * What one gateway knows of one host's script: what Consul has, what is agreed on, what serves. Works
 * out the next agreement; fetches and writes nothing.
 */

import type { Agreement, OutOfService, Served, Source, TakenBack } from "../../model/index.ts";
import { imports, type Rollout, type Schedule } from "../../sandbox/index.ts";
import { Findings } from "../agreement/findings.ts";
import { accept, beginning, isTakenBack, stallOf, takeBack, widen } from "../agreement/steps.ts";
import { StayingVersions } from "../failing/staying.ts";
import { Windows } from "../schedule/windows.ts";

import { HostLookups } from "./lookups.ts";
import { type InService, ServingVersions, type Wanted } from "./serving-versions.ts";

/** How long a source may be older than the agreement's before this gateway looks into it. */
const doubtMs = 5_000;

/** What would serve in the place of a version. */
export interface WayBack {
  /** The version before it; `null`: none. */
  readonly to: string | null;
  /** It has a share of the requests. */
  readonly isTrial: boolean;
  /** When it came to all requests, in milliseconds since the epoch; `null` when that is not known. */
  readonly sinceMs: number | null;
}

export class HostRelease {
  #agreed: Agreement | null = null;
  /** What this gateway serves by although Consul has not taken it, and the revision that it follows. */
  #ahead: { readonly from: number | null; readonly agreement: Agreement } | null = null;
  #accepted: Source | null = null;
  #acceptedAtMs = 0;
  /** `refused`: Consul has a source that did not pass. */
  #presence: "unknown" | "accepted" | "refused" | "gone" = "unknown";
  readonly service = new ServingVersions();
  readonly lookups = new HostLookups();
  readonly staying = new StayingVersions();
  readonly #windows = new Windows();
  readonly #findings = new Findings();
  #doubtSinceMs: number | null = null;
  #isInDoubt = false;
  #isWriting = false;
  #writeAgain = false;
  #noWriteBeforeMs = 0;

  /** Of the version that is out of service for its schedule; `null` when none is. */
  get closedUntil(): number | null {
    return this.#windows.closedUntil;
  }

  /** What Consul has, as far as this gateway knows. */
  get agreed(): Agreement | null {
    return this.#agreed;
  }

  /** What is in KV, when it passed its checks. */
  get accepted(): Source | null {
    return this.#accepted;
  }

  /** Consul has not said yet what it has. */
  get isUnknown(): boolean {
    return this.#presence === "unknown";
  }

  get isGone(): boolean {
    return this.#presence === "gone";
  }

  /** No version of it exists: none in KV, none agreed on, none in service. */
  get isSpent(): boolean {
    const isAbsent = this.#presence === "gone" || this.#presence === "unknown";
    const isAtRest = !this.#isWriting && this.#findings.isEmpty;
    return isAbsent && isAtRest && this.#agreed === null && this.service.sources().length === 0;
  }

  /** Every version that may be asked about. */
  versions(): readonly string[] {
    const { live = null, before = null, next = null } = this.#aheadOf(this.#agreed) ?? {};
    const agreed = [live, before, next?.version, this.#accepted?.version];
    const here = this.service.sources().map(({ version }) => version);
    return [...agreed.filter((version) => typeof version === "string"), ...here];
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
    this.#ahead = null;
    this.#findings.clear();
  }

  /**
   * A watch brought this document. One that is older than the known one was either on its way while this
   * gateway wrote, or somebody put an older one back. Only another reading can tell.
   */
  heard(agreement: Agreement | null): void {
    const isOlder =
      agreement !== null && this.#agreed !== null && agreement.revision < this.#agreed.revision;
    if (isOlder) this.doubt();
    else this.learned(agreement);
  }

  /** This is what Consul has now. */
  learned(agreement: Agreement | null): void {
    // Consul has lost it: this gateway has not.
    if (agreement === null && this.#agreed !== null) {
      this.#ahead = { from: null, agreement: { ...this.#agreed, index: 0 } };
    }
    this.#agreed = agreement;
    this.#isInDoubt = false;
    this.#findings.heard(agreement, this.#accepted?.version ?? null);
  }

  /** What would serve in the place of this version; `null` when it does not serve, or is known to have failed. */
  wayBack(version: string, nowMs: number): WayBack | null {
    if (this.#findings.failureOf(version) !== undefined) return null;
    const agreement = this.desired(null, nowMs);
    if (agreement === null) return null;
    if (agreement.next?.version === version)
      return { to: agreement.live, isTrial: true, sinceMs: null };
    if (agreement.live !== version) return null;
    const to = isTakenBack(agreement, version) ? null : agreement.before;
    return { to, isTrial: false, sinceMs: agreement.liveSince ?? null };
  }

  /**
   * A version is to be taken back, or stalled a worker.
   * @param mayGoBack whether the version before it may serve in its place.
   */
  fail(failed: TakenBack, mayGoBack: boolean): void {
    const { version, at, stalled } = failed;
    if (this.#findings.failureOf(version) !== undefined) return;
    // Without Consul nobody knows which version to go back to, but this one must not run.
    const isAlone = this.isUnknown && stalled !== undefined && this.service.serves(version);
    const agreement = this.desired(null, at);
    if (!isAlone && (agreement === null || takeBack(agreement, failed, mayGoBack) === agreement))
      return;
    this.#findings.fail(failed, mayGoBack);
  }

  /**
   * A version that is out of service needs a module that changed. False when there is no such version.
   * @param modules all that the change concerns, those that import what changed among them.
   */
  mend(modules: ReadonlySet<string>, atMs: number): boolean {
    const source = this.service.script;
    if (source?.outOfService === undefined) return false;
    if (!imports(source, modules)) return false;
    this.#findings.mend(source.version, atMs);
    return true;
  }

  /** Why a version must not run, by what is agreed on, or by what this gateway alone knows yet. */
  outOfService(agreed: Agreement | null, version: string): OutOfService | null {
    const known = stallOf(agreed, version) ?? this.#findings.failureOf(version);
    if (known?.stalled !== undefined) return { reason: known.reason, ...known.stalled };
    const before = this.isUnknown ? this.service.script : null;
    return before?.version === version ? (before.outOfService ?? null) : null;
  }

  /** What should be agreed on next; the same object as `agreed` when nothing new is known. */
  desired(rollout: Rollout | null, nowMs: number): Agreement | null {
    return this.desiredFrom(this.#agreed, rollout, nowMs);
  }

  /**
   * This gateway serves by it from now on, whether or not Consul takes it: with a token that may not write, or
   * when the next version comes first, nobody else would know what served before.
   */
  goAhead(agreement: Agreement): void {
    if (agreement !== this.#agreed)
      this.#ahead = { from: this.#agreed?.revision ?? null, agreement };
  }

  desiredFrom(agreed: Agreement | null, rollout: Rollout | null, nowMs: number): Agreement | null {
    let agreement = agreed;
    if (this.#accepted !== null) {
      const known = this.#aheadOf(agreed) ?? this.#withoutConsul();
      agreement = accept(known, this.#accepted, rollout, this.#acceptedAtMs);
    }
    if (agreement === null) return null;
    return widen(this.#findings.apply(agreement), nowMs);
  }

  /** Consul may have lost the agreement, whatever the indexes say. */
  doubt(): void {
    this.#isInDoubt = true;
  }

  /**
   * Whether the agreement should be read again: there is doubt, or the source has been older than the
   * agreement's for a while. Then either its watch is slow, or Consul has lost its data and counts anew.
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
    if (this.#accepted?.version === version) return this.#accepted;
    return this.service.find(version);
  }

  /**
   * The versions that serve now: without those that their schedule keeps out of service, and marked where one
   * stalled a worker.
   */
  arrange(
    agreed: Agreement | null,
    { script, trial }: Wanted,
    scheduleOf: (version: string) => Schedule | null,
    nowMs: number,
  ): InService {
    this.#windows.begin();
    const isOpen = ({ version }: Source) =>
      this.#windows.isOpen(version, scheduleOf(version), nowMs);
    const isScript = script !== null && isOpen(script);
    const isTrial = trial !== null && isOpen(trial.source);
    const closed = { script: isScript ? null : script, trial: isTrial ? null : trial };
    const out = script === null ? null : this.outOfService(agreed, script.version);
    const marked = script === null || out === null ? script : { ...script, outOfService: out };
    return {
      script: isScript ? marked : null,
      trial: isTrial ? trial : null,
      closed: closed.script === null && closed.trial === null ? null : closed,
    };
  }

  /** What has to change for these to serve. */
  show(host: string, served: InService): readonly Served[] {
    const changes = this.service.show(host, served);
    // Only the version before the one that is live can be needed again.
    const agreement = this.#aheadOf(this.#agreed);
    if (agreement !== null)
      this.service.keep((one) => one === agreement.live || one === agreement.before);
    return changes;
  }

  /** False while a write runs (another one follows it), or when the last one failed just now. */
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
    this.lookups.retry(nowMs);
    return (
      this.#isWriting ||
      this.#isInDoubt ||
      this.#doubtSinceMs !== null ||
      this.#writeAgain ||
      !this.#findings.isEmpty ||
      this.#noWriteBeforeMs > 0 ||
      this.#agreed?.next != null ||
      !this.#windows.isEmpty ||
      (this.#agreed?.live != null && this.service.script?.version !== this.#agreed.live)
    );
  }

  /** What this gateway serves by, when that follows from this agreement, or the agreement itself. */
  #aheadOf(agreed: Agreement | null): Agreement | null {
    return this.#ahead?.from === (agreed?.revision ?? null) ? this.#ahead.agreement : agreed;
  }

  /** Where Consul has nothing, or no longer: what this gateway remembers, or at least what serves. */
  #withoutConsul(): Agreement {
    if (this.#agreed === null) return beginning(this.service.wanted.script?.version ?? null);
    return { ...this.#agreed, index: 0 };
  }
}
