/**
 * Writes into Consul for one gateway: the agreements that it proposes, what became of each version, and one log record for
 * each thing that it was the first to write. Decides nothing.
 */

import type { Agreement, Source } from "../../model/index.ts";
import type { Log } from "../../observability/logger.ts";
import type { Rollout } from "../../sandbox/index.ts";
import { remove } from "../agreement/steps.ts";
import type { HostRelease } from "../serving/host-release.ts";
import { type History, sighted } from "./history.ts";
import type { Subject } from "./keys.ts";
import { Lanes } from "./lanes.ts";
import type { Records } from "./records.ts";

export interface ScribeOptions {
  readonly records: Records;
  readonly clock: { now(): number };
  readonly log: Log;
  /** Of the gateway, for the history. */
  readonly name: string;
}

/** After Consul did not take a change. */
const retryMs = 5_000;
/** Time for the watch of scripts to bring what Consul already has. */
const lagMs = 1_000;

export class Scribe {
  readonly #options: ScribeOptions;
  /** Consul serves one address some 200 connections at once, and the watches need most of them. */
  readonly #writes = new Lanes(8);
  /** A lane of their own: a thousand documents at once must not delay a take-back. */
  readonly #notes = new Lanes(4);
  /** Names of bells that are free now: each change that is being written holds one. */
  readonly #bells: string[] = [];
  #bellCount = 0;
  #writeError: string | null = null;
  #isClosed = false;

  constructor(options: ScribeOptions) {
    this.#options = options;
  }

  /**
   * Writes the agreement that this gateway proposes for a host, unless another one was faster. Calls `then`
   * when the release knows the outcome, also when Consul refused the write.
   */
  agree(host: string, release: HostRelease, rollout: () => Rollout | null, then: () => void): void {
    if (!release.beginWrite(this.#options.clock.now())) return;
    this.#writes.run(async () => {
      try {
        const isHeard = await this.#agree(host, release, rollout);
        this.#writeError = null;
        release.endWrite(isHeard ? null : this.#options.clock.now() + lagMs);
      } catch (error) {
        release.endWrite(this.#options.clock.now() + retryMs);
        this.#complain(error);
      }
      then();
    });
  }

  /** Resolves to whether the release now knows the agreement. */
  async #agree(
    host: string,
    release: HostRelease,
    rollout: () => Rollout | null,
  ): Promise<boolean> {
    const { records, clock, name } = this.#options;
    const subject: Subject = `scripts/${host}`;
    if (release.isGone) {
      // The script that this gateway saw removed may be back by now.
      if ((await records.source(subject)) !== null) return false;
    }
    const bell = this.#bells.pop() ?? this.#newBell();
    const change = records.change(host, {
      by: `gateway ${name}`,
      bell,
      nowMs: clock.now(),
      decide: (now) => {
        if (!release.isGone) return release.desiredFrom(now, rollout(), clock.now());
        return now === null ? null : remove(now);
      },
      textOf: (version) => release.find(version)?.text ?? null,
    });
    const { before, agreement, isOurs } = await change.finally(() => this.#bells.push(bell));
    release.learned(agreement);
    if (isOurs && agreement !== null) this.#tell(host, before, agreement);
    return true;
  }

  #newBell(): string {
    this.#bellCount += 1;
    return `${this.#options.name}.${this.#bellCount}`;
  }

  /** Logs one record for each change of the agreement, on the gateway that wrote it. */
  #tell(host: string, before: Agreement | null, agreement: Agreement): void {
    const { log } = this.#options;
    const key = this.#options.records.keys.source(`scripts/${host}`);
    const known = new Set(before?.takenBack.map(({ version }) => version));
    for (const { version, reason } of agreement.takenBack) {
      if (known.has(version)) continue;
      const to = agreement.live;
      if (to === version) {
        log.error(
          { key, version, reason },
          `${key} version ${version.slice(0, 12)} is out of service, and there is no version ${agreement.before === null ? "" : "that refuses what it may refuse "}to take it back to: ${reason}`,
        );
        continue;
      }
      const after = to === null ? "no script" : `version ${to.slice(0, 12)}`;
      log.warn(
        { key, version, reason, live: to },
        `${key} version ${version.slice(0, 12)} is taken back to ${after}: ${reason}`,
      );
    }
    const { next, live } = agreement;
    if (next !== null && next.version !== before?.next?.version) {
      const { version, percent } = next;
      log.info({ key, version, percent }, `${key} begins with ${percent} % of the requests`);
    }
    if (live !== null && live === before?.next?.version) {
      log.info({ key, version: live }, `${key} version ${live.slice(0, 12)} has all requests`);
    }
  }

  /**
   * Notes in a history what became of a version that has no agreement.
   * @param before what was live until then, for a history that has never heard of it.
   */
  note(
    subject: Subject,
    source: Source,
    outcome: "refused" | "live" | "removed",
    { detail, before }: { readonly detail?: string; readonly before?: Source | null } = {},
  ): void {
    this.#notes.run(async () => {
      const { records, clock } = this.#options;
      const { version, text } = source;
      const at = clock.now();
      try {
        const isInForce = async () => (await records.source(subject))?.version === version;
        const update = (history: History) =>
          sighted(history, {
            ...{ version, outcome, at, before: before?.version ?? null },
            ...(detail === undefined ? {} : { detail }),
          });
        // A gateway that is late would put an earlier version in the place of the one that is in force by now.
        const holds = outcome === "live" ? isInForce : undefined;
        const noting = await records.note(subject, update, [], holds);
        if (noting === null || noting.before === noting.after) return;
        await records.keep(subject, version, text);
        const isNews = !noting.before.some((one) => one.version === before?.version);
        if (before != null && isNews) await records.keep(subject, before.version, before.text);
      } catch (error) {
        this.#complain(error);
      }
    });
  }

  /** Says once that Consul does not take what is to be kept there. */
  #complain(error: unknown): void {
    const reason = messageOf(error);
    if (reason === this.#writeError || this.#isClosed) return;
    this.#writeError = reason;
    this.#options.log.warn(
      { reason },
      `the agreement of scripts is not kept in Consul, so this gateway decides alone: ${reason}`,
    );
  }

  /** Resolves when nothing is being written; what waits to be written is dropped. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([this.#writes.close(), this.#notes.close()]);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
