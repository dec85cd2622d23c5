/**
 * The lives of scripts on this gateway: stands between the gate, which says what passed its checks, and
 * the state, which workers follow. Puts into service what the gateways agree on, and brings forward
 * what this one finds. Keeps nothing of its own: what is agreed on is in Consul.
 */

import type { Agreement, Candidate, LastWords, Served, Source, Tables } from "../../model/index.ts";
import type { Log } from "../../observability/logger.ts";
import type { Declared, ExamineScript, ReplayScript } from "../../sandbox/index.ts";
import { isTakenBack, remove, shareOf } from "../agreement/steps.ts";
import { Declarations } from "../examining/declarations.ts";
import type { WorkerScriptReport } from "../failing/error-rates.ts";
import { TakeBacks } from "../failing/take-backs.ts";
import { Lanes } from "../lanes.ts";
import type { Subject } from "../records/keys.ts";
import type { Records } from "../records/records.ts";
import { Retention } from "../records/retention.ts";
import { Scribe } from "../records/scribe.ts";
import { HostRelease } from "./host-release.ts";
import { type InService, nothingInService, type Wanted } from "./serving-versions.ts";
import { describeRelease, type ReleaseStatus } from "./status.ts";

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
  /** Names this gateway in the history: `gateway <name>`. */
  readonly name: string;
  /** What is in service at the start. */
  readonly live: Tables;
  /** Told of a host for which something was fetched or examined, whatever came of it. */
  readonly onSettled?: (host: string) => void;
  /** What the workers that live report. */
  readonly reports: () => readonly WorkerScriptReport[];
}

/** What a version matches is agreed on in this many characters; beyond, all its requests fail. */
const maxStalledLength = 16_384;
const tickMs = 1_000;
/** How often what is of no use any more is forgotten. */
const forgetMs = 60_000;
/** After Consul did not take a change. */
const retryMs = 5_000;

export class HostReleases {
  readonly #options: HostReleasesOptions;
  readonly #hosts = new Map<string, HostRelease>();
  readonly #declared: Declarations;
  readonly #takeBacks: TakeBacks;
  /** Sources that are brought and examined. A slow one must not keep others: who examines has an order of its own. */
  readonly #fetches = new Lanes(64);
  readonly #scribe: Scribe;
  readonly #retention: Retention;
  #hasBegun = false;
  #isStopped = false;
  #forgetAtMs = 0;
  #cancelTick: (() => void) | null = null;

  constructor(options: HostReleasesOptions) {
    this.#options = options;
    this.#scribe = new Scribe(options);
    this.#retention = new Retention(options);
    const { live, examine } = options;
    this.#declared = new Declarations(examine, live);
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

  /** A version passed its checks and declares this. */
  learn(version: string, declared: Declared): void {
    this.#declared.learn(version, declared);
  }

  /** Changes that the gate let through, in their order. */
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
    for (const [host, slot] of modules.size === 0 ? [] : this.#hosts) {
      if (slot.mend(concerned, this.#options.clock.now())) passing.push(...this.#settle(host));
    }
    // In the same call, so that a module and the scripts that need it make one version.
    for (const change of changes) {
      if (change.kind === "agreement" || change.kind === "script") {
        passing.push(...this.#settle(change.key));
      }
    }
    if (passing.length > 0) this.#options.pass(passing);
  }

  /** Consul has what was let through before: out of a snapshot, after a refused version, or written again. */
  kept(host: string, source: Source): void {
    const slot = this.#host(host);
    if (slot.accepted === source) return;
    // Maybe to a Consul that had lost it, and with it what was agreed on, which nobody else writes again.
    if (slot.accepted?.version === source.version) slot.doubt();
    slot.accept(source, this.#options.clock.now());
    this.#pass(this.#settle(host));
  }

  /** The gate refused a source; `null` for a module that is gone. */
  refused(subject: Subject, source: Source | null, reason: string): void {
    if (subject.startsWith("scripts/")) {
      const host = subject.slice("scripts/".length);
      this.#host(host).refuse();
      this.#pass(this.#settle(host));
    }
    if (source !== null) this.#scribe.note(subject, source, "refused", { detail: reason });
  }

  /** A worker could not get out of a script: it runs nowhere from now on. */
  stalled({ host, version, out }: LastWords): void {
    const { reason, ...what } = out;
    const isLong = JSON.stringify(what).length > maxStalledLength;
    const stalled = isLong ? { ...what, methods: null, paths: null } : what;
    const at = this.#options.clock.now();
    this.#takeBacks.stalled(host, { version, at, reason, stalled });
  }

  /** From now on versions go into service: before, what the gateways agree on may not be known yet. */
  begin(): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    for (const host of this.#hosts.keys()) this.#pass(this.#settle(host));
    this.#retention.start();
    this.#tick();
  }

  /** Resolves when no source of an earlier version is being fetched. Writes need not be waited for. */
  settled(): Promise<void> {
    return this.#fetches.idle();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelTick?.();
    await Promise.all([
      this.#fetches.close(),
      this.#scribe.close(),
      this.#retention.stop(),
      this.#takeBacks.close(),
    ]);
  }

  /** Versions that serve a host, or wait to, beside the accepted one: modules must not break them. */
  inService(host: string): readonly Source[] {
    const life = this.#hosts.get(host);
    return life === undefined ? [] : life.service.sources();
  }

  /** Whether what serves a host may depend on something that is still on its way. */
  isWaiting(host: string): boolean {
    return this.#hosts.get(host)?.fetches.isWaiting ?? false;
  }

  /** Whether the gateways agreed on this version before, for all requests or for a share. */
  hasServed(host: string, version: string): boolean {
    const { live = null, next = null } = this.#hosts.get(host)?.agreed ?? {};
    return version === live || version === next?.version;
  }

  status(host: string): ReleaseStatus {
    const nowMs = this.#options.clock.now();
    const slot = this.#hosts.get(host) ?? new HostRelease();
    const agreed = slot.desired(this.#declared.rolloutOf(slot.accepted), nowMs);
    const accepted = slot.accepted?.version ?? null;
    const failing = slot.failing(agreed);
    return describeRelease({ accepted, agreed, failing, closedUntil: slot.closedUntil }, nowMs);
  }

  /** Hosts that have a life, in service or not. */
  hosts(): Iterable<string> {
    return this.#hosts.keys();
  }

  #host(host: string): HostRelease {
    let slot = this.#hosts.get(host);
    if (slot === undefined) {
      slot = new HostRelease();
      this.#hosts.set(host, slot);
    }
    return slot;
  }

  #takeScript(host: string, source: Source | null): void {
    if (source === null) this.#host(host).drop();
    else this.#host(host).accept(source, this.#options.clock.now());
  }

  /** Returns whether it is another text than before. */
  #takeModule(name: string, source: Source | null): boolean {
    if (source !== null && this.#hasBegun) this.#scribe.note(`modules/${name}`, source, "live");
    return this.#declared.takeModule(name, source);
  }

  #pass(changes: readonly Served[]): void {
    if (changes.length > 0) this.#options.pass(changes);
  }

  /** Works out what should serve a host now; returns what has to change for that. */
  #settle(host: string): readonly Served[] {
    const slot = this.#host(host);
    if (!this.#hasBegun) return slot.isGone ? slot.show(host, nothingInService) : [];
    if (slot.isUnknown) return this.#settleAlone(host, slot);
    if (slot.isGone) {
      if (slot.agreed !== null && remove(slot.agreed) !== slot.agreed) this.#write(host);
      return slot.show(host, nothingInService);
    }
    const { accepted } = slot;
    if (accepted !== null && !this.#declared.has(accepted.version)) {
      this.#learnOf(host, slot, accepted);
      return [];
    }
    const nowMs = this.#options.clock.now();
    const agreed = slot.desired(this.#declared.rolloutOf(accepted), nowMs);
    if (agreed !== slot.agreed || slot.isDoubtful(nowMs)) this.#write(host);
    if (agreed === null) return [];
    slot.goAhead(agreed);
    const script = this.#serving(host, slot, agreed);
    const { next } = agreed;
    const isNext = next !== null && next.version === accepted?.version;
    const trial = isNext ? { source: accepted, share: shareOf(next, nowMs), by: next.by } : null;
    return slot.show(host, this.#arranged(slot, agreed, { script, trial }, nowMs));
  }

  /** What a snapshot left in service goes on until Consul says what is to be: by its schedule, and its share stands still. */
  #settleAlone(host: string, slot: HostRelease): readonly Served[] {
    const { script, trial } = slot.service.wanted;
    let isLearning = false;
    for (const source of [script, trial?.source]) {
      if (source == null || this.#declared.has(source.version)) continue;
      // One that stalls is not asked for its schedule.
      if (slot.outOfService(null, source.version) !== null) continue;
      this.#learnOf(host, slot, source);
      isLearning = true;
    }
    if (isLearning) return [];
    const isFailed = trial !== null && slot.outOfService(null, trial.source.version) !== null;
    const wanted = { script, trial: isFailed ? null : trial };
    return slot.show(host, this.#arranged(slot, null, wanted, this.#options.clock.now()));
  }

  #arranged(slot: HostRelease, agreed: Agreement | null, wanted: Wanted, nowMs: number): InService {
    return slot.arrange(agreed, wanted, (version) => this.#declared.scheduleOf(version), nowMs);
  }

  /** The source that is live, or, as long as it is not here, what served before; `null`: none. */
  #serving(host: string, slot: HostRelease, agreed: Agreement): Source | null {
    if (agreed.live === null) return null;
    const source = slot.find(agreed.live);
    if (source !== null) return source;
    const loss = slot.fetches.lossOf(agreed.live);
    if (loss === "none") this.#fetch(host, slot, agreed.live);
    if (loss !== "for good") return slot.service.wanted.script;
    // Better the version in KV than none, unless it is known to fail.
    const { accepted } = slot;
    if (accepted === null || isTakenBack(agreed, accepted.version))
      return slot.service.wanted.script;
    return accepted;
  }

  /** Brings the source of an earlier version, which is examined like any other but for its tests. */
  #fetch(host: string, slot: HostRelease, version: string): void {
    if (!slot.fetches.begin(version)) return;
    this.#fetches.run(async () => {
      const { records, log } = this.#options;
      const key = records.keys.version(`scripts/${host}`, version);
      try {
        const text = await records.version(`scripts/${host}`, version);
        const problem =
          text === null ? "it is not there" : await this.#declared.examine(host, version, text);
        if (problem !== null) {
          slot.fetches.lose(version);
          log.error({ key, reason: problem }, `${key} cannot go into service: ${problem}`);
        } else if (text !== null) {
          slot.fetches.end(version);
          slot.service.add({ text, version, modifyIndex: 0 });
        }
      } catch (error) {
        slot.fetches.lose(version, this.#options.clock.now() + retryMs);
        const reason = messageOf(error);
        log.warn({ key, reason }, `${key} cannot be read: ${reason}`);
      }
      this.#pass(this.#settle(host));
      this.#options.onSettled?.(host);
    });
  }

  /** What a source declares that came out of a snapshot, which the gate does not check again. */
  #learnOf(host: string, slot: HostRelease, source: Source): void {
    const { version } = source;
    if (!slot.fetches.begin(version)) return;
    this.#fetches.run(async () => {
      await this.#declared.learnOf(host, source);
      slot.fetches.end(version);
      this.#pass(this.#settle(host));
      this.#options.onSettled?.(host);
    });
  }

  #write(host: string): void {
    const slot = this.#host(host);
    const rollout = () => this.#declared.rolloutOf(slot.accepted);
    this.#scribe.agree(host, slot, rollout, () => this.#pass(this.#settle(host)));
  }

  #tick(): void {
    if (this.#isStopped) return;
    const nowMs = this.#options.clock.now();
    this.#takeBacks.look(nowMs, this.#options.reports(), this.#hosts.values());
    const changes: Served[] = [];
    for (const [host, slot] of this.#hosts) {
      if (slot.needsLook(nowMs)) changes.push(...this.#settle(host));
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
    for (const [host, slot] of this.#hosts) {
      if (slot.isSpent) this.#hosts.delete(host);
      else for (const version of slot.versions()) versions.add(version);
    }
    this.#declared.keep(versions);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
