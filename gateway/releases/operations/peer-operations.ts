/**
 * What operators do by hand with single peers: take one out, let it in again, give it another weight. It is kept in
 * `peers/<name>`, so that every gateway hears of it and a restart forgets nothing.
 */
import { formatPeerSettings, parsePeerSettings } from "../../documents/index.ts";
import type { PeerSetting, PeerSettings } from "../../model/index.ts";
import type { Subject } from "../records/keys.ts";
import { WriteConflict } from "../records/records.ts";
import { SourceMissing } from "./errors.ts";
import type { Operations } from "./operations.ts";

/** What may be set of a peer; what is left out stays. */
export type PeerChange = Partial<Pick<PeerSetting, "isDrained" | "weight">>;

export interface ChangedPeer {
  readonly before: PeerSetting | null;
  /** `null`: nothing is set by hand any more. */
  readonly after: PeerSetting | null;
}

export interface PeerOperationsOptions {
  readonly operations: Operations;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/**
 * A write that loses a race means that another gateway's write won, so this many tries suffice for this many
 * writers.
 */
const mostTries = 40;

export class PeerOperations {
  readonly #options: PeerOperationsOptions;
  /** By name: what is being written, so that two of one gateway never race. */
  readonly #last = new Map<string, Promise<unknown>>();

  constructor(options: PeerOperationsOptions) {
    this.#options = options;
  }

  /**
   * @param name of an upstream document, or the site of a service.
   * @throws WriteConflict, DocumentError for settings that cannot be read.
   */
  change(name: string, address: string, change: PeerChange, by: string): Promise<ChangedPeer> {
    const before = this.#last.get(name) ?? Promise.resolve();
    const written = before.then(() => this.#change(name, address, change, by));
    // Whoever asked for this change hears why it failed; the next one only waits for its end.
    const settled = written.catch(() => {});
    this.#last.set(name, settled);
    void settled.then(() => {
      if (this.#last.get(name) === settled) this.#last.delete(name);
    });
    return written;
  }

  async #change(
    name: string,
    address: string,
    change: PeerChange,
    by: string,
  ): Promise<ChangedPeer> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#tryToChange(name, address, change, by);
      } catch (error) {
        // Somebody else has set something of another peer.
        if (!(error instanceof WriteConflict) || tries === mostTries) throw error;
      }
    }
  }

  async #tryToChange(
    name: string,
    address: string,
    change: PeerChange,
    by: string,
  ): Promise<ChangedPeer> {
    const { operations, now } = this.#options;
    const subject: Subject = `peers/${name}`;
    const source = await this.#find(subject);
    const settings = source === null ? {} : parsePeerSettings(subject, source.text);
    const before = settings[address] ?? null;
    const { isDrained, weight } = { ...(before ?? untouched), ...change };
    const isSame =
      isDrained === (before?.isDrained ?? false) && weight === (before?.weight ?? null);
    if (isSame) return { before, after: before };
    const after =
      isDrained || weight !== null ? { isDrained, weight, ...this.#signed(by, now()) } : null;
    const { [address]: _, ...others } = settings;
    const next: PeerSettings = after === null ? others : { ...others, [address]: after };
    if (Object.keys(next).length === 0) await operations.remove(subject, by, source?.version);
    else
      await operations.push(subject, formatPeerSettings(next), {
        by,
        expected: source?.version ?? null,
      });
    return { before, after };
  }

  #signed(by: string, nowMs: number): Pick<PeerSetting, "by" | "since"> {
    return {
      by: by.replace(/\p{Cc}+/gu, " ").slice(0, maxBy),
      since: new Date(nowMs).toISOString(),
    };
  }

  async #find(subject: Subject) {
    try {
      return await this.#options.operations.show(subject);
    } catch (error) {
      if (error instanceof SourceMissing) return null;
      throw error;
    }
  }
}

const maxBy = 200;
const untouched: Pick<PeerSetting, "isDrained" | "weight"> = { isDrained: false, weight: null };
