/**
 * Decides which versions are taken back: those that fail too often, by how the version before them does with the
 * same requests, and those that stalled a worker. `HostRelease` knows what follows from that.
 */

import type { FailedRequest, Source, TakenBack } from "../../model/index.ts";
import type { Log } from "../../observability/logger.ts";
import type { ReplayOutcome, ReplayScript } from "../../sandbox/index.ts";
import type { Declarations } from "../examining/declarations.ts";
import { Lanes } from "../records/lanes.ts";
import type { Records } from "../records/records.ts";
import type { HostRelease, WayBack } from "../serving/host-release.ts";
import { ErrorRates, type Failing, type WorkerScriptReport } from "./error-rates.ts";
import { reasonToStay } from "./judgement.ts";

export interface TakeBacksOptions {
  readonly declared: Declarations;
  readonly replay: ReplayScript;
  readonly records: Records;
  readonly clock: { now(): number };
  readonly log: Log;
  readonly releaseOf: (host: string) => HostRelease | undefined;
  /** A version of this host's is to be taken back. */
  readonly onFound: (host: string) => void;
}

/** A comparison that could not be made, as on a busy machine, is tried so often. */
const maxTries = 3;
/** A version that was compared and stayed is compared again, with other requests, after this time. */
const againMs = 10_000;

export class TakeBacks {
  readonly #options: TakeBacksOptions;
  readonly #rates: ErrorRates;
  /** Comparisons that wait for the process that makes them. */
  readonly #comparisons = new Lanes(2);
  /** Questions about the version before one that stalled: apart, so that no comparison delays them. */
  readonly #stalls = new Lanes(64);
  /** By version and host, when it may be compared again; infinite while it is being compared. */
  readonly #comparedUntil = new Map<string, number>();

  constructor(options: TakeBacksOptions) {
    this.#options = options;
    this.#rates = new ErrorRates((version) => options.declared.takeBackOf(version));
  }

  /** What the workers that live report, once a second. */
  look(
    nowMs: number,
    reports: readonly WorkerScriptReport[],
    releases: Iterable<HostRelease>,
  ): void {
    this.#rates.take(nowMs, reports);
    const failing = this.#rates.failing();
    const versions = new Set(failing.map(({ version }) => version));
    for (const release of releases) release.staying.failsNow(versions);
    for (const [key, untilMs] of this.#comparedUntil) {
      if (untilMs <= nowMs) this.#comparedUntil.delete(key);
    }
    for (const one of failing) this.#weigh(one, nowMs);
  }

  /** A worker could not get out of a version: it runs nowhere from now on. */
  stalled(host: string, failed: TakenBack): void {
    const { declared, releaseOf, onFound } = this.#options;
    const release = releaseOf(host);
    if (release === undefined) return;
    const { version, at } = failed;
    const to = release.wayBack(version, at)?.to ?? null;
    const settle = (mayGoBack: boolean) => {
      release.fail(failed, mayGoBack);
      onFound(host);
    };
    if (to === null || !this.#mustRefuse(version)) settle(true);
    else if (declared.canRefuse(to) !== null) settle(declared.canRefuse(to) === true);
    else {
      this.#stalls.run(async () => {
        const source = await this.#sourceOf(host, release, to);
        if (source !== null) await declared.learnOf(host, source);
        settle(declared.canRefuse(to) === true);
      });
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#comparisons.close(), this.#stalls.close()]);
  }

  #weigh(failing: Failing, nowMs: number): void {
    const { host, version, samples } = failing;
    const release = this.#options.releaseOf(host);
    const way = release?.wayBack(version, nowMs) ?? null;
    if (release === undefined || way === null) return;
    const why = this.#reasonWithout(version, way, nowMs);
    if (why !== null) {
      this.#stays(release, failing, why);
      return;
    }
    const mustRefuse = this.#mustRefuse(version);
    if (samples.length === 0 || way.to === null) {
      const before = way.to === null ? null : [];
      this.#settle(release, failing, reasonToStay({ mustRefuse, failing: [], before }));
      return;
    }
    const key = `${version} ${host}`;
    if (this.#comparedUntil.has(key)) return;
    this.#comparedUntil.set(key, Number.POSITIVE_INFINITY);
    this.#comparisons.run(async () => {
      const before = await this.#replay(host, release, way.to, samples);
      const own = await this.#replay(host, release, version, samples);
      const endedMs = this.#options.clock.now();
      this.#comparedUntil.set(key, endedMs + againMs);
      const now = release.wayBack(version, endedMs);
      if (now === null || now.to !== way.to) return;
      this.#settle(release, failing, reasonToStay({ mustRefuse, failing: own, before }));
    });
  }

  /** Why a version stays whatever the version before it does; `null`: the version before it decides. */
  #reasonWithout(version: string, { to, isTrial, sinceMs }: WayBack, nowMs: number): string | null {
    if (to === null && !isTrial) return "there is no version to take it back to";
    const { isOn, probationMs } = this.#options.declared.takeBackOf(version);
    if (!isOn) return "it says that it is not taken back";
    const isProven = !isTrial && (sinceMs === null || nowMs - sinceMs > probationMs);
    return isProven ? "it served for longer than its probation" : null;
  }

  #mustRefuse(version: string): boolean {
    const { declared } = this.#options;
    return declared.canRefuse(version) !== false && !declared.mayOpen(version);
  }

  #settle(release: HostRelease, failing: Failing, why: string | null): void {
    if (why !== null) {
      this.#stays(release, failing, why);
      return;
    }
    const { clock, onFound } = this.#options;
    const { version, host } = failing;
    release.fail({ version, at: clock.now(), reason: reasonOf(failing) }, true);
    onFound(host);
  }

  #stays(release: HostRelease, failing: Failing, why: string): void {
    const { records, log } = this.#options;
    const { version, host } = failing;
    const reason = reasonOf(failing);
    if (!release.staying.add(version, why, reason)) return;
    const key = records.keys.source(`scripts/${host}`);
    log.error(
      { key, version, reason, why },
      `${key} version ${version.slice(0, 12)} fails too often and stays: ${why}: ${reason}`,
    );
  }

  async #replay(
    host: string,
    release: HostRelease,
    version: string | null,
    samples: readonly FailedRequest[],
  ): Promise<readonly ReplayOutcome[] | null> {
    const { declared, replay } = this.#options;
    const source = version === null ? null : await this.#sourceOf(host, release, version);
    if (source === null) return null;
    for (let tries = 1; ; tries += 1) {
      const outcomes = await replay(host, declared.tablesOf(host, source), samples);
      if (outcomes !== null || tries === maxTries) return outcomes;
    }
  }

  /** `null`: no comparison could be made. */
  async #sourceOf(host: string, release: HostRelease, version: string): Promise<Source | null> {
    const known = release.find(version);
    if (known !== null) return known;
    const { records, log } = this.#options;
    const key = records.keys.version(`scripts/${host}`, version);
    try {
      const text = await records.version(`scripts/${host}`, version);
      return text === null ? null : { text, version, modifyIndex: 0 };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log.warn({ key, reason }, `${key} cannot be read: ${reason}`);
      return null;
    }
  }
}

function reasonOf({ calls, errors, lastError }: Failing): string {
  const last = lastError === null ? "" : `, the last: ${lastError}`;
  return `${errors} errors in ${calls} calls${last}`;
}
