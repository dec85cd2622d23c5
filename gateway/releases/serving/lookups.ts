/**
 * What has to be looked up before a version can serve: the source of an earlier one, and what a source declares that the
 * gate does not examine again.
 */
import type { Source } from "../../model/index.ts";
import type { Log } from "../../observability/logger.ts";
import type { Declarations } from "../examining/declarations.ts";
import { Lanes } from "../records/lanes.ts";
import type { Records } from "../records/records.ts";
import type { HostRelease } from "./host-release.ts";

/** After Consul did not answer. */
const retryMs = 5_000;

export interface LookupsOptions {
  readonly records: Records;
  readonly declared: Declarations;
  readonly clock: { now(): number };
  readonly log: Log;
  /** A look-up for this host has ended, with whatever outcome. */
  readonly onEnd: (host: string) => void;
}

export class Lookups {
  readonly #options: LookupsOptions;
  /** Many at once, so that a slow one does not delay others; the examiner has an order of its own. */
  readonly #lanes = new Lanes(64);

  constructor(options: LookupsOptions) {
    this.#options = options;
  }

  /** Brings the source of an earlier version, which is examined like any other but for its tests. */
  bring(host: string, release: HostRelease, version: string): void {
    const { records, declared, clock, log, onEnd } = this.#options;
    const { lookups } = release;
    if (!lookups.begin(version)) return;
    this.#lanes.run(async () => {
      const key = records.keys.version(`scripts/${host}`, version);
      try {
        const text = await records.version(`scripts/${host}`, version);
        const problem =
          text === null ? "it is not there" : await declared.examine(host, version, text);
        if (problem !== null) {
          lookups.lose(version);
          log.error({ key, reason: problem }, `${key} cannot go into service: ${problem}`);
        } else if (text !== null) {
          lookups.end(version);
          release.service.add({ text, version, modifyIndex: 0 });
        }
      } catch (error) {
        lookups.lose(version, clock.now() + retryMs);
        const reason = error instanceof Error ? error.message : String(error);
        log.warn({ key, reason }, `${key} cannot be read: ${reason}`);
      }
      onEnd(host);
    });
  }

  /** Finds out what a source from a snapshot declares, because the gate does not check it again. */
  learnOf(host: string, release: HostRelease, source: Source): void {
    const { declared, onEnd } = this.#options;
    const { version } = source;
    if (!release.lookups.begin(version)) return;
    this.#lanes.run(async () => {
      await declared.learnOf(host, source);
      release.lookups.end(version);
      onEnd(host);
    });
  }

  /** Resolves when none is under way. */
  idle(): Promise<void> {
    return this.#lanes.idle();
  }

  close(): Promise<void> {
    return this.#lanes.close();
  }
}

/** Of one host: versions that are being looked up, and those that could not be had. */
export class HostLookups {
  readonly #running = new Set<string>();
  /** Versions that could not be found, and until when they are not looked up again. */
  readonly #lost = new Map<string, number>();

  /** False when it is under way already. */
  begin(version: string): boolean {
    if (this.#running.has(version)) return false;
    this.#running.add(version);
    return true;
  }

  /** It is here. */
  end(version: string): void {
    this.#running.delete(version);
    this.#lost.delete(version);
  }

  /** It was not found; it is looked up again at `retryAtMs`. Default: never. */
  lose(version: string, retryAtMs = Number.POSITIVE_INFINITY): void {
    this.#running.delete(version);
    this.#lost.set(version, retryAtMs);
  }

  /** Whether it was not found, for now or for good. */
  lossOf(version: string): "none" | "for now" | "for good" {
    const retryAtMs = this.#lost.get(version);
    if (retryAtMs === undefined) return "none";
    return retryAtMs === Number.POSITIVE_INFINITY ? "for good" : "for now";
  }

  /** Whether a look-up is under way or will be tried again. */
  get isWaiting(): boolean {
    const mayCome = [...this.#lost.values()].some((ms) => ms !== Number.POSITIVE_INFINITY);
    return this.#running.size > 0 || mayCome;
  }

  /** Versions that may be looked up again. */
  retry(nowMs: number): void {
    for (const [version, retryAtMs] of this.#lost) {
      if (nowMs >= retryAtMs) this.#lost.delete(version);
    }
  }
}
