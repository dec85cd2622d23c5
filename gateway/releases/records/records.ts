/**
 * What is kept in Consul KV of everything that has versions: sources, histories, and what gateways agree on. Read, and
 * changed by check-and-set so that of several gateways and commands one writes and the others see it. Decides nothing.
 */
import {
  DocumentError,
  formatAgreement,
  formatBell,
  parseAgreement,
  readBell,
  ringBell,
} from "../../documents/index.ts";
import { type Agreement, SiteNames, versionOf } from "../../model/index.ts";
import { formatHistory, type History, readHistory, recorded } from "./history.ts";
import { hostOf, partsOf, type RecordKeys, recordKeys, type Subject } from "./keys.ts";

/** One write of a transaction, made only while the key's ModifyIndex is `cas`; `text: null` removes it. */
export interface KvWrite {
  readonly key: string;
  readonly text: string | null;
  readonly cas: number;
}

/** Consul KV, as `consul/api/kv-writes.ts` has it. */
export interface Kv {
  get(key: string): Promise<{ readonly text: string; readonly modifyIndex: number } | null>;
  /** `session`: which holds the key; `null`: none does. */
  list(prefix: string): Promise<
    readonly {
      readonly key: string;
      readonly text: string;
      readonly modifyIndex: number;
      readonly session: string | null;
    }[]
  >;
  /** The names of the keys below a prefix. */
  keys(prefix: string): Promise<readonly string[]>;
  /** The names directly below a prefix; of a folder once, with a slash at its end. */
  folders(prefix: string): Promise<readonly string[]>;
  put(key: string, text: string, options?: { readonly cas?: number }): Promise<boolean>;
  remove(key: string): Promise<void>;
  transact(writes: readonly KvWrite[]): Promise<boolean>;
}

/** Others kept writing the same keys. */
export class WriteConflict extends Error {
  override readonly name = "WriteConflict";
}

/** A source out of KV, or of an earlier version. */
export interface StoredSource {
  readonly text: string;
  readonly version: string;
  readonly modifyIndex: number;
}

/** A source that is in force, where it is. */
export interface SourceEntry extends StoredSource {
  /** The whole key. */
  readonly key: string;
}

export interface AgreementChange {
  /** Who writes, for the history. */
  readonly by: string;
  /** The name of a bell that nobody else rings meanwhile. */
  readonly bell: string;
  readonly nowMs: number;
  /**
   * May be called several times, each time with what is there now. Returning the same object leaves it as it
   * is.
   */
  readonly decide: (agreement: Agreement | null) => Agreement | null;
  /** The source of a version that the agreement names, if it is here. */
  readonly textOf: (version: string) => string | null;
}

export interface RecordsOptions {
  readonly kv: Kv;
  /** Of all keys, with a slash at its end. */
  readonly prefix: string;
  /**
   * Called with one line that names the key when a document that gateways keep cannot be read. Such a document
   * counts as missing; the next change writes it anew.
   */
  readonly onUnreadable: (message: string) => void;
  /** Which host is which site, as the gateways have it. Default: no datacenter is the own one. */
  readonly sites?: () => SiteNames;
}

const maxTries = 10;

export class Records {
  readonly kv: Kv;
  readonly keys: RecordKeys;
  readonly #onUnreadable: (message: string) => void;
  readonly #sites: () => SiteNames;

  constructor({ kv, prefix, onUnreadable, sites }: RecordsOptions) {
    const noDatacenter = new SiteNames(null);
    this.#sites = sites ?? (() => noDatacenter);
    this.kv = kv;
    this.keys = recordKeys(prefix);
    this.#onUnreadable = onUnreadable;
  }

  get sites(): SiteNames {
    return this.#sites();
  }

  /** What is in force; `null` when there is none. */
  async source(subject: Subject): Promise<SourceEntry | null> {
    for (const key of this.#keysOf(subject)) {
      const entry = await this.#entry(key);
      if (entry !== null) return entry;
    }
    return null;
  }

  /** Every source of the subject, that which is in force first: an operator may have spelt its host in several ways. */
  async sources(subject: Subject): Promise<readonly SourceEntry[]> {
    const entries = await Promise.all(this.#keysOf(subject).map((key) => this.#entry(key)));
    return entries.filter((entry) => entry !== null);
  }

  /** The source of a version that was there before; `null` when it is not kept, or not what it should be. */
  async version(subject: Subject, version: string): Promise<string | null> {
    const entry = await this.kv.get(this.keys.version(subject, version));
    return entry !== null && versionOf(entry.text) === version ? entry.text : null;
  }

  /** Keeps the source of a version. Its key says what it holds, so it need not be compared. */
  async keep(subject: Subject, version: string, text: string): Promise<void> {
    await this.kv.put(this.keys.version(subject, version), text);
  }

  async agreement(host: string): Promise<Agreement | null> {
    const key = this.keys.agreement(host);
    return this.#readAgreement(key, await this.kv.get(key));
  }

  async history(subject: Subject): Promise<History> {
    const key = this.keys.history(subject);
    return this.#readHistory(key, (await this.kv.get(key))?.text ?? null);
  }

  /**
   * Changes what is agreed on for a host, together with its history. Resolves to what is there in the
   * end, and whether it was written here.
   */
  async change(
    host: string,
    { by, bell, nowMs, decide, textOf }: AgreementChange,
  ): Promise<{
    readonly before: Agreement | null;
    readonly agreement: Agreement | null;
    readonly isOurs: boolean;
  }> {
    const agreementKey = this.keys.agreement(host);
    const subject: Subject = `scripts/${host}`;
    const historyKey = this.keys.history(subject);
    const bellKey = this.keys.bell(bell);
    for (let tries = 0; tries < maxTries; tries += 1) {
      const [agreementEntry, historyEntry, bellEntry] = await Promise.all([
        this.kv.get(agreementKey),
        this.kv.get(historyKey),
        this.kv.get(bellKey),
      ]);
      const before = this.#readAgreement(agreementKey, agreementEntry);
      const agreement = decide(before);
      if (agreement === before || agreement === null)
        return { before, agreement: before, isOurs: false };
      // First: what gateways agree on must be there for those that start later. A source that then loses
      // the race stays behind, which does no harm; to remove it might take it from who won.
      for (const version of [agreement.live, agreement.before, agreement.next?.version]) {
        const text = typeof version === "string" ? textOf(version) : null;
        const known = [before?.live, before?.before, before?.next?.version];
        if (typeof version === "string" && text !== null && !known.includes(version)) {
          await this.keep(subject, version, text);
        }
      }
      const history = this.#readHistory(historyKey, historyEntry?.text ?? null);
      const entries = recorded(history, before, agreement, nowMs, by);
      const isWritten = await this.kv.transact([
        {
          key: agreementKey,
          text: formatAgreement(agreement),
          cas: agreementEntry?.modifyIndex ?? 0,
        },
        { key: historyKey, text: formatHistory(entries), cas: historyEntry?.modifyIndex ?? 0 },
        {
          key: bellKey,
          text: formatBell(ringBell(readBell(bellKey, bellEntry?.text ?? null), host, nowMs)),
          cas: bellEntry?.modifyIndex ?? 0,
        },
      ]);
      if (!isWritten) continue;
      await this.#forget(subject, history, entries, agreement);
      return { before, agreement, isOurs: true };
    }
    throw new WriteConflict(`${agreementKey}: others kept changing it`);
  }

  /**
   * Changes the history, together with `also` when there is any. Resolves to what it was and what it is; `null` when
   * something of `also` is not as expected. With `holds`, it changes nothing where that is false: asked behind each
   * reading of the history, so that what made it false comes behind that, too.
   */
  async note(
    subject: Subject,
    update: (history: History) => History,
    also: readonly KvWrite[] = [],
    holds?: () => Promise<boolean>,
  ): Promise<{ readonly before: History; readonly after: History } | null> {
    const key = this.keys.history(subject);
    for (let tries = 0; tries < maxTries; tries += 1) {
      const entry = await this.kv.get(key);
      const before = this.#readHistory(key, entry?.text ?? null);
      if (holds !== undefined && !(await holds())) return { before, after: before };
      const after = update(before);
      if (after === before && also.length === 0) return { before, after };
      const write = { key, text: formatHistory(after), cas: entry?.modifyIndex ?? 0 };
      const isWritten = await this.kv.transact([...also, write]);
      if (isWritten) {
        await this.#forget(subject, before, after, null);
        return { before, after };
      }
      if (!(await this.#isAsExpected(also))) return null;
    }
    throw new WriteConflict(`${key}: others kept changing it`);
  }

  async #isAsExpected(writes: readonly KvWrite[]): Promise<boolean> {
    for (const { key, cas } of writes) {
      if (((await this.kv.get(key))?.modifyIndex ?? 0) !== cas) return false;
    }
    return true;
  }

  async #entry(key: string): Promise<SourceEntry | null> {
    const entry = await this.kv.get(key);
    if (entry === null) return null;
    const { text, modifyIndex } = entry;
    return { key, text, version: versionOf(text), modifyIndex };
  }

  #keysOf(subject: Subject): readonly string[] {
    const host = hostOf(subject);
    if (host === null) return [this.keys.source(subject)];
    const { kind } = partsOf(subject);
    return this.sites.spellingsOf(host).map((name) => this.keys.source(`${kind}/${name}`));
  }

  #readAgreement(
    key: string,
    entry: { readonly text: string; readonly modifyIndex: number } | null,
  ): Agreement | null {
    if (entry === null) return null;
    try {
      return parseAgreement(key, entry.text, entry.modifyIndex);
    } catch (error) {
      if (!(error instanceof DocumentError)) throw error;
      this.#onUnreadable(error.message);
      return null;
    }
  }

  #readHistory(key: string, text: string | null): History {
    const { history, fault } = readHistory(key, text);
    if (fault !== null) this.#onUnreadable(fault);
    return history;
  }

  /** Takes away the sources of versions that fell out of the history. */
  async #forget(
    subject: Subject,
    before: History,
    after: History,
    agreement: Agreement | null,
  ): Promise<void> {
    const kept = new Set(after.map(({ version }) => version));
    for (const version of [agreement?.live, agreement?.before, agreement?.next?.version]) {
      if (typeof version === "string") kept.add(version);
    }
    const gone = new Set(before.map(({ version }) => version)).difference(kept);
    for (const version of gone) await this.kv.remove(this.keys.version(subject, version));
  }
}
