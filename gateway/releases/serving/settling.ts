/**
 * Works out what should serve a host now, from what passed its checks, what the gateways agree on, and the
 * clock. Has missing versions looked up, and the proposals of this gateway written.
 */
import type { Agreement, Served, Source } from "../../model/index.ts";
import { isTakenBack, remove, shareOf } from "../agreement/steps.ts";
import type { Declarations } from "../examining/declarations.ts";
import type { Scribe } from "../records/scribe.ts";
import type { HostRelease } from "./host-release.ts";
import type { Lookups } from "./lookups.ts";
import { type InService, nothingInService, type Wanted } from "./serving-versions.ts";

export interface SettlingOptions {
  readonly declared: Declarations;
  readonly lookups: Lookups;
  readonly scribe: Scribe;
  readonly clock: { now(): number };
  /** Consul has answered this gateway's proposal, with whatever outcome. */
  readonly onWritten: (host: string) => void;
}

export class Settling {
  readonly #options: SettlingOptions;
  #hasBegun = false;

  constructor(options: SettlingOptions) {
    this.#options = options;
  }

  /** From now on versions go into service. Before, the agreement may not be known yet. */
  begin(): void {
    this.#hasBegun = true;
  }

  /** Returns what has to change for that to serve. */
  settle(host: string, release: HostRelease): readonly Served[] {
    const { declared, lookups, clock } = this.#options;
    if (!this.#hasBegun) return release.isGone ? release.show(host, nothingInService) : [];
    if (release.isUnknown) return this.#settleAlone(host, release);
    if (release.isGone) {
      if (release.agreed !== null && remove(release.agreed) !== release.agreed)
        this.#write(host, release);
      return release.show(host, nothingInService);
    }
    const { accepted } = release;
    if (accepted !== null && !declared.has(accepted.version)) {
      lookups.learnOf(host, release, accepted);
      return [];
    }
    const nowMs = clock.now();
    const agreed = release.desired(declared.rolloutOf(accepted), nowMs);
    if (agreed !== release.agreed || release.isDoubtful(nowMs)) this.#write(host, release);
    if (agreed === null) return [];
    release.goAhead(agreed);
    const script = this.#serving(host, release, agreed);
    const { next } = agreed;
    const isNext = next !== null && next.version === accepted?.version;
    const trial = isNext ? { source: accepted, share: shareOf(next, nowMs), by: next.by } : null;
    return release.show(host, this.#arranged(release, agreed, { script, trial }, nowMs));
  }

  /**
   * What a snapshot left in service goes on until Consul says what is to serve. Its schedule holds meanwhile,
   * and its share does not grow.
   */
  #settleAlone(host: string, release: HostRelease): readonly Served[] {
    const { declared, lookups, clock } = this.#options;
    const { script, trial } = release.service.wanted;
    let isLearning = false;
    for (const source of [script, trial?.source]) {
      if (source == null || declared.has(source.version)) continue;
      // A version that stalls is not asked for its schedule.
      if (release.outOfService(null, source.version) !== null) continue;
      lookups.learnOf(host, release, source);
      isLearning = true;
    }
    if (isLearning) return [];
    const isFailed = trial !== null && release.outOfService(null, trial.source.version) !== null;
    const wanted = { script, trial: isFailed ? null : trial };
    return release.show(host, this.#arranged(release, null, wanted, clock.now()));
  }

  #arranged(
    release: HostRelease,
    agreed: Agreement | null,
    wanted: Wanted,
    nowMs: number,
  ): InService {
    return release.arrange(
      agreed,
      wanted,
      (version) => this.#options.declared.scheduleOf(version),
      nowMs,
    );
  }

  /** The source that is live, or, as long as it is not here, what served before; `null`: none. */
  #serving(host: string, release: HostRelease, agreed: Agreement): Source | null {
    if (agreed.live === null) return null;
    const source = release.find(agreed.live);
    if (source !== null) return source;
    const { lookups } = this.#options;
    const loss = release.lookups.lossOf(agreed.live);
    if (loss === "none") lookups.bring(host, release, agreed.live);
    if (loss !== "for good") return release.service.wanted.script;
    // The version in KV is better than none, unless it is known to fail.
    const { accepted } = release;
    if (accepted === null || isTakenBack(agreed, accepted.version))
      return release.service.wanted.script;
    return accepted;
  }

  #write(host: string, release: HostRelease): void {
    const { declared, scribe, onWritten } = this.#options;
    const rollout = () => declared.rolloutOf(release.accepted);
    scribe.agree(host, release, rollout, () => onWritten(host));
  }
}
