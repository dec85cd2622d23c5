/**
 * Which versions of scripts serve on this gateway: stands between the gate, which says what passed its checks,
 * and the state, which workers follow. Puts into service what the gateways agree on, and proposes what this one
 * finds. Keeps nothing of its own: the agreement is in Consul.
 */

import type { Candidate, LastWords, Served, Source, Tables } from "../../model/index.ts";
import type { Log } from "../../observability/logger.ts";
import type { Declared, ExamineScript, ReplayScript } from "../../sandbox/index.ts";
import { Declarations } from "../examining/declarations.ts";
import type { Serving } from "../examining/serving.ts";
import type { WorkerScriptReport } from "../failing/error-rates.ts";
import { TakeBacks } from "../failing/take-backs.ts";
import { partsOf, type Subject } from "../records/keys.ts";
import type { Records } from "../records/records.ts";
import type { Scribe } from "../records/scribe.ts";
import { HostRelease } from "./host-release.ts";
import { Lookups } from "./lookups.ts";
import { Settling } from "./settling.ts";
import { describeRelease, type ReleaseStatus } from "./status.ts";
import { Unexamined } from "./unexamined.ts";

export interface HostReleasesOptions {
  /** Takes what goes into service. */
  readonly pass: (changes: readonly Served[]) => void;
  readonly examine: ExamineScript;
  readonly replay: ReplayScript;
  readonly records: Records;
  readonly clock: {
    now(): number;
    after(delayMs: number, task: () => void): () => void;
  };
  readonly log: Log;
  readonly scribe: Scribe;
  /** What is in service at the start. */
  readonly live: Tables;
  /** What the workers that live report. */
  readonly reports: () => readonly WorkerScriptReport[];
}

/**
 * The agreement keeps up to this many characters of what an out-of-service version matches. With more, all
 * requests of the host fail.
 */
const maxStalledLength = 16_384;
const tickMs = 1_000;
/** How often useless knowledge is dropped. */
const forgetMs = 60_000;
export class HostReleases implements Serving {
  readonly #options: HostReleasesOptions;
  readonly #hosts = new Map<string, HostRelease>();
  readonly #declared: Declarations;
  readonly #takeBacks: TakeBacks;
  readonly #lookups: Lookups;
  readonly #settling: Settling;
  readonly #unexamined: Unexamined;
  #hasBegun = false;
  #isStopped = false;
  #forgetAtMs = 0;
  #cancelTick: (() => void) | null = null;

  constructor(options: HostReleasesOptions) {
    this.#options = options;
    const { live, examine } = options;
    this.#declared = new Declarations(examine, live);
    this.#unexamined = new Unexamined(live, (host) => this.#hosts.get(host)?.lookups.isWaiting);
    this.#lookups = new Lookups({
      ...options,
      declared: this.#declared,
      onEnd: (host) => {
        this.#pass(this.#settle(host));
        this.#pass(this.#unexamined.found(host));
      },
    });
    this.#settling = new Settling({
      ...options,
      declared: this.#declared,
      lookups: this.#lookups,
      onWritten: (host) => this.#pass(this.#settle(host)),
    });
    this.#takeBacks = new TakeBacks({
      ...options,
      declared: this.#declared,
      releaseOf: (host) => this.#hosts.get(host),
      onFound: (host) => this.#pass(this.#settle(host)),
    });
    for (const host of new Set(
      [live.script, live.trial, live.closed].flatMap((all) => [...all.keys()]),
    )) {
      const script = live.script.get(host) ?? null;
      const trial = live.trial.get(host) ?? null;
      this.#host(host).service.begin({ script, trial, closed: live.closed.get(host) ?? null });
    }
  }

  awaits(host: string, source: Source): void {
    this.#unexamined.awaits(host, source);
  }

  examined(host: string): void {
    this.#unexamined.examined(host);
    this.#pass(this.#unexamined.found(host));
  }

  learn(version: string, declared: Declared): void {
    this.#declared.learn(version, declared);
  }

  take(changes: readonly Candidate[]): void {
    const passing: Served[] = [];
    const modules = new Set<string>();
    for (const change of changes) {
      if (change.kind === "agreement") this.#host(change.key).heard(change.value);
      else if (change.kind === "script") this.#takeScript(change.key, change.value);
      else passing.push(change);
      if (change.kind === "module" && this.#takeModule(change.key, change.value)) {
        modules.add(change.key);
      }
      if (change.kind === "setting") this.#declared.takeSetting(change.key, change.value);
    }
    const concerned = this.#declared.concernedBy(modules);
    for (const [host, release] of modules.size === 0 ? [] : this.#hosts) {
      if (release.mend(concerned, this.#options.clock.now())) passing.push(...this.#settle(host));
    }
    // In the same call, so that a module and the scripts that need it make one version.
    for (const change of changes) {
      if (change.kind === "agreement" || change.kind === "script") {
        passing.push(...this.#settle(change.key));
      }
    }
    this.#pass(passing);
  }

  kept(host: string, source: Source): void {
    const release = this.#host(host);
    if (release.accepted === source) return;
    // Consul may have lost its data, agreement included, and nobody else writes that again: read it once more.
    if (release.accepted?.version === source.version) release.doubt();
    release.accept(source, this.#options.clock.now());
    this.#pass(this.#settle(host));
  }

  refused(subject: Subject, source: Source | null, reason: string): void {
    const { kind, name: host } = partsOf(subject);
    if (kind === "scripts") {
      this.#host(host).refuse();
      this.#pass(this.#settle(host));
    }
    if (source !== null) this.#options.scribe.note(subject, source, "refused", { detail: reason });
  }

  /** A worker could not get out of a script: it runs nowhere from now on. */
  stalled({ host, version, out }: LastWords): void {
    const { reason, ...what } = out;
    const isLong = JSON.stringify(what).length > maxStalledLength;
    const stalled = isLong ? { ...what, methods: null, paths: null } : what;
    const at = this.#options.clock.now();
    this.#takeBacks.stalled(host, { version, at, reason, stalled });
  }

  /** From now on versions go into service. Before, the agreement may not be known yet. */
  begin(): void {
    this.#hasBegun = true;
    this.#settling.begin();
    for (const host of this.#hosts.keys()) this.#pass(this.#settle(host));
    this.#tick();
  }

  /** Resolves when no source of an earlier version is being fetched. Writes need not be waited for. */
  settled(): Promise<void> {
    return this.#lookups.idle();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelTick?.();
    await Promise.all([this.#lookups.close(), this.#takeBacks.close()]);
  }

  /**
   * The gateway opens. Hosts whose script is not examined yet are not served until it is. Returns how many
   * those are.
   */
  openWithout(): number {
    const changes = this.#unexamined.begin();
    this.#pass(changes);
    return changes.length;
  }

  inService(host: string): readonly Source[] {
    return this.#hosts.get(host)?.service.sources() ?? [];
  }

  hasServed(host: string, version: string): boolean {
    const { live = null, next = null } = this.#hosts.get(host)?.agreed ?? {};
    return version === live || version === next?.version;
  }

  status(host: string): ReleaseStatus {
    const nowMs = this.#options.clock.now();
    const release = this.#hosts.get(host) ?? new HostRelease();
    const agreed = release.desired(this.#declared.rolloutOf(release.accepted), nowMs);
    const accepted = release.accepted?.version ?? null;
    const failing = release.staying.describe(agreed);
    return describeRelease({ accepted, agreed, failing, closedUntil: release.closedUntil }, nowMs);
  }

  /** Hosts with a known script, whether it is in service or not. */
  hosts(): Iterable<string> {
    return this.#hosts.keys();
  }

  #host(host: string): HostRelease {
    let release = this.#hosts.get(host);
    if (release === undefined) {
      release = new HostRelease();
      this.#hosts.set(host, release);
    }
    return release;
  }

  #takeScript(host: string, source: Source | null): void {
    if (source !== null) {
      this.#host(host).accept(source, this.#options.clock.now());
      return;
    }
    this.#unexamined.gone(host);
    this.#host(host).drop();
  }

  /** Returns whether it is another text than before. */
  #takeModule(name: string, source: Source | null): boolean {
    if (source !== null && this.#hasBegun)
      this.#options.scribe.note(`modules/${name}`, source, "live");
    return this.#declared.takeModule(name, source);
  }

  #pass(changes: readonly Served[]): void {
    if (changes.length === 0) return;
    this.#unexamined.passed(changes);
    this.#options.pass(changes);
  }

  #settle(host: string): readonly Served[] {
    return this.#settling.settle(host, this.#host(host));
  }

  #tick(): void {
    if (this.#isStopped) return;
    const nowMs = this.#options.clock.now();
    this.#takeBacks.look(nowMs, this.#options.reports(), this.#hosts.values());
    const changes: Served[] = [];
    for (const [host, release] of this.#hosts) {
      if (release.needsLook(nowMs)) changes.push(...this.#settle(host));
    }
    this.#pass(changes);
    this.#forget(nowMs);
    this.#cancelTick = this.#options.clock.after(tickMs, () => this.#tick());
  }

  /** Hosts that have nothing left, and what versions declared that nothing refers to. */
  #forget(nowMs: number): void {
    if (nowMs < this.#forgetAtMs) return;
    this.#forgetAtMs = nowMs + forgetMs;
    const versions = new Set<string>();
    for (const [host, release] of this.#hosts) {
      if (release.isSpent) this.#hosts.delete(host);
      else for (const version of release.versions()) versions.add(version);
    }
    this.#declared.keep(versions);
  }
}
