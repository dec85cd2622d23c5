/**
 * Removes the agreement, the history and the texts of versions of everything that was removed from KV long ago.
 * It never touches records of what has a source in KV.
 */

import { readBell } from "../../documents/index.ts";
import type { Log } from "../../observability/logger.ts";
import { readHistory } from "./history.ts";
import { hostOf, isSubject, partsOf, type Subject, subjectKinds } from "./keys.ts";
import type { KvWrite, Records } from "./records.ts";

export interface RetentionOptions {
  readonly records: Records;
  readonly clock: {
    now(): number;
    after(delayMs: number, task: () => void): () => void;
  };
  readonly log: Log;
}

/** How long what was removed is remembered, for a rollback and for what was taken back. */
export const retentionMs = 30 * 86_400_000;
/** How often it is looked for; the first time a while after the start. */
const sweepMs = 3_600_000;
const firstSweepMs = 600_000;
/** How long a bell stays that nobody rings, for gateways that have yet to hear it. */
const bellMs = 3_600_000;
/** The most that one sweep removes, so that it is a trickle beside Consul's other work. */
const maxRemovals = 100;

export class Retention {
  readonly #options: RetentionOptions;
  #cancel: (() => void) | null = null;
  #sweeping: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(options: RetentionOptions) {
    this.#options = options;
  }

  start(): void {
    this.#plan(firstSweepMs);
  }

  /** Resolves when no sweep is under way. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancel?.();
    await this.#sweeping;
  }

  /** Looks once. Resolves to what was taken away. Rejects with a `ConsulError`. */
  async sweep(): Promise<readonly Subject[]> {
    const { records, clock } = this.#options;
    const removed: Subject[] = [];
    for (const subject of await leftovers(records)) {
      if (this.#isStopped || removed.length === maxRemovals) break;
      if (await forget(records, subject, clock.now() - retentionMs)) removed.push(subject);
    }
    await forgetBells(records, clock.now() - bellMs);
    return removed;
  }

  #plan(delayMs: number): void {
    this.#cancel = this.#options.clock.after(delayMs, () => {
      this.#sweeping = this.#run();
    });
  }

  async #run(): Promise<void> {
    const { log } = this.#options;
    try {
      const subjects = await this.sweep();
      if (subjects.length > 0) {
        log.info({ subjects }, "the history of what was removed long ago is taken away");
      }
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log.warn({ reason }, `what was removed long ago stays in Consul for now: ${reason}`);
    }
    if (!this.#isStopped) this.#plan(sweepMs);
  }
}

/** Whatever has records and no source in KV any more. */
async function leftovers({ kv, keys, sites }: Records): Promise<readonly Subject[]> {
  const [agreements, histories, ...sources] = await Promise.all([
    kv.keys(keys.agreements),
    kv.keys(keys.histories),
    ...subjectKinds.map(async (kind) => {
      const folder = keys.folder(kind);
      return (await kv.keys(folder)).map((key) => `${kind}/${key.slice(folder.length)}`);
    }),
  ]);
  const present = new Set(
    sources
      .flat()
      .filter(isSubject)
      .map((subject) => {
        const host = hostOf(subject);
        return host === null
          ? subject
          : `${partsOf(subject).kind}/${sites.nameOf(host.toLowerCase())}`;
      }),
  );
  const kept = new Set([
    ...agreements.map((key) => `scripts/${key.slice(keys.agreements.length)}`),
    ...histories.map((key) => key.slice(keys.histories.length)),
  ]);
  return [...kept].filter(isSubject).filter((subject) => !present.has(subject));
}

/**
 * Removes the records of a subject that has no source, when its history says nothing newer than `beforeMs`. Resolves to
 * false when the history is newer or has no time, or when somebody changes it at this moment.
 */
async function forget({ kv, keys }: Records, subject: Subject, beforeMs: number): Promise<boolean> {
  const { kind, name } = partsOf(subject);
  const agreementKey = kind === "scripts" ? keys.agreement(name) : null;
  const historyKey = keys.history(subject);
  const [agreement, history, versions] = await Promise.all([
    agreementKey === null ? null : kv.get(agreementKey),
    kv.get(historyKey),
    kv.keys(keys.version(subject, "")),
  ]);
  const entries = readHistory(historyKey, history?.text ?? null).history;
  const times = entries.map(({ since }) => Date.parse(since));
  if (times.length === 0 || Math.max(...times) >= beforeMs) return false;
  // Whoever brings a source writes the history first, so this removal fails when a source comes meanwhile.
  const removals = [removalOf(historyKey, history), removalOf(agreementKey, agreement)].flat();
  if (!(await kv.transact(removals))) return false;
  for (const key of versions) await kv.remove(key);
  return true;
}

/**
 * Removes bells that nobody has rung since `beforeMs`, as those of gateways that are gone, and keys that are no
 * bells.
 */
async function forgetBells({ kv, keys }: Records, beforeMs: number): Promise<void> {
  for (const { key, text, modifyIndex } of (await kv.list(keys.bells)).slice(0, maxRemovals)) {
    const bell = readBell(key, text);
    if (bell !== null && bell.at >= beforeMs) continue;
    // A bell that is rung at this moment stays.
    await kv.transact([{ key, text: null, cas: modifyIndex }]);
  }
}

/** The write that removes a key, when it is there. */
function removalOf(
  key: string | null,
  entry: { readonly modifyIndex: number } | null,
): readonly KvWrite[] {
  return key === null || entry === null ? [] : [{ key, text: null, cas: entry.modifyIndex }];
}
