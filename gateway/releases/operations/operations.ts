/**
 * What operators do with scripts, modules and documents: list, show, test, push, roll back, remove. Both the
 * commands and the admin API use it. A version that gateways would refuse never reaches Consul.
 */
import {
  DocumentError,
  maxDocumentBytes,
  parseEntryName,
  parseHostName,
} from "../../documents/index.ts";
import { type Agreement, type TenantPolicy, versionOf } from "../../model/index.ts";
import type { ExamineScript } from "../../sandbox/index.ts";
import { isTakenBack } from "../agreement/steps.ts";
import { type History, lastGood, noted, withEarlier } from "../records/history.ts";
import { entryKinds, hostOf, partsOf, type Subject, type SubjectKind } from "../records/keys.ts";
import {
  type Records,
  type SourceEntry,
  type StoredSource,
  WriteConflict,
} from "../records/records.ts";
import { entriesOf } from "./entries.ts";
import { SourceMissing, SourceRefused } from "./errors.ts";
import { Judge, type Judgement } from "./judge.ts";

export interface Listed {
  /** The host or the name. */
  readonly name: string;
  readonly version: string;
  readonly bytes: number;
  readonly modifyIndex: number;
}

export interface Shown extends SourceEntry {
  /** What the gateways agree on; `null` for all but scripts, and as long as no gateway has said anything. */
  readonly life: Agreement | null;
}

export interface Pushed {
  readonly version: string;
  /** False: this version was there already. */
  readonly isNew: boolean;
  /** How many of its own tests passed. */
  readonly tests: number;
  /** What was there before; `null`: nothing was. */
  readonly before: StoredSource | null;
}

export interface PushOptions {
  /** Who or what brings it, for the history. */
  readonly by: string;
  /** Only while this version is there; `null`: while there is none. Default: what is there now. */
  readonly expected?: string | null;
}

export interface OperationsOptions {
  readonly records: Records;
  readonly examine: ExamineScript;
  /** Who may use what. Default, or `null`: there is one tenant. */
  readonly tenants?: TenantPolicy | null;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** A transaction may have 512 KiB. Base64 takes a quarter of that, and the history takes some. */
const maxInTransaction = 256 * 1024;

const shortVersion = /^[0-9a-f]{4,64}$/i;

export class Operations {
  readonly #records: Records;
  readonly #judge: Judge;
  readonly #now: () => number;

  constructor({ records, examine, tenants = null, now }: OperationsOptions) {
    this.#records = records;
    this.#judge = new Judge(records, examine, tenants);
    this.#now = now;
  }

  /** What is in KV, by name. */
  async list(kind: SubjectKind): Promise<readonly Listed[]> {
    const entries = await entriesOf(this.#records, kind);
    return entries.map(({ name, text, modifyIndex }) => ({
      name,
      version: versionOf(text),
      bytes: Buffer.byteLength(text),
      modifyIndex,
    }));
  }

  /** @throws SourceMissing */
  async show(subject: Subject): Promise<Shown> {
    const source = await this.#source(subject);
    return { ...source, life: await this.#agreement(subject) };
  }

  history(subject: Subject): Promise<History> {
    return this.#records.history(subject);
  }

  /** The source of a version of the history, of which the first few digits are enough. @throws SourceMissing */
  async version(subject: Subject, version: string): Promise<StoredSource> {
    const history = await this.#records.history(subject);
    if (!shortVersion.test(version)) {
      const wrong = JSON.stringify(version.slice(0, 80));
      throw new SourceMissing(`${wrong} is no version: 4 to 64 hexadecimal digits`);
    }
    const begins = history.filter((one) => one.version.startsWith(version.toLowerCase()));
    const [found, other] = new Set(begins.map((one) => one.version));
    if (found !== undefined && other !== undefined) {
      throw new SourceMissing(`${subject} has several versions that begin with ${version}`);
    }
    const text = found === undefined ? null : await this.#records.version(subject, found);
    if (found === undefined || text === null) {
      throw new SourceMissing(`${subject} has no version ${version} in its history`);
    }
    return { text, version: found, modifyIndex: 0 };
  }

  /** Examines a text with the modules and settings that are in KV; writes nothing. */
  test(subject: Subject, text: string): Promise<Judgement> {
    return this.#judge.test(subject, text);
  }

  /** As `test`, but as if Consul were empty: where it does not answer. */
  testAlone(subject: Subject, text: string): Promise<Judgement> {
    return this.#judge.testAlone(subject, text);
  }

  /**
   * Tests a source and writes it, when nobody changed what was there meanwhile.
   * @throws SourceRefused, WriteConflict, DocumentError for a name that is none.
   */
  async push(subject: Subject, text: string, options: PushOptions): Promise<Pushed> {
    const { by, expected } = options;
    checkSubject(this.#records, subject);
    const version = versionOf(text);
    const before = await this.#records.source(subject);
    if (expected !== undefined && (before?.version ?? null) !== expected) {
      throw new WriteConflict(`${subject} is at ${before?.version ?? "no version"} now`);
    }
    const size = Buffer.byteLength(text);
    const whole = { key: subject, line: 0, column: 0 };
    if (size > maxDocumentBytes) {
      const message = `${size} bytes are above ${maxDocumentBytes}`;
      throw new SourceRefused({ ...whole, message });
    }
    const agreement = await this.#agreement(subject);
    const failed = agreement?.takenBack.find((one) => one.version === version);
    if (failed !== undefined && isTakenBack(agreement, version)) {
      const message = `this version was taken back (${failed.reason}); change it to have it tried again`;
      throw new SourceRefused({ ...whole, message });
    }
    const { fault, passed } = await this.test(subject, text);
    if (fault !== null) throw new SourceRefused(fault);
    if (before?.version === version) return { version, isNew: false, tests: passed, before };
    await this.#write(subject, text, by, before);
    return { version, isNew: true, tests: passed, before };
  }

  /**
   * Puts a version of the history back; `null`: the last other one that was good.
   * @throws SourceMissing, and what `push` throws.
   */
  async rollback(subject: Subject, version: string | null, by: string): Promise<Pushed> {
    const current = await this.#records.source(subject);
    const history = await this.#records.history(subject);
    const wanted = version ?? lastGood(history, current?.version ?? null);
    if (wanted === null) {
      throw new SourceMissing(`${subject} has no earlier version that was good in its history`);
    }
    const { text } = await this.version(subject, wanted);
    return this.push(subject, text, { by });
  }

  /**
   * Resolves to what was there.
   * @param expected only while this version is there. Default: what is there now.
   * @throws SourceMissing, WriteConflict, SourceRefused for a module that scripts import.
   */
  async remove(subject: Subject, by: string, expected?: string): Promise<StoredSource> {
    const source = await this.#source(subject);
    const { version, text } = source;
    if (expected !== undefined && expected !== version)
      throw new WriteConflict(`${subject} is at ${version} now`);
    const { kind, name } = partsOf(subject);
    const importer = kind === "modules" ? await this.#judge.importerOf(name) : null;
    if (importer !== null) {
      const message = `${importer} imports it`;
      throw new SourceRefused({ key: subject, line: 0, column: 0, message });
    }
    await this.#records.keep(subject, version, text);
    const keepEarlier = withUnrecorded(subject, version, this.#now());
    // Removes all spellings: otherwise the next one would come into force.
    const entries = await this.#records.sources(subject);
    const removals = entries.map(({ key, modifyIndex }) => ({ key, text: null, cas: modifyIndex }));
    const at = this.#now();
    const detail = `by ${by}`;
    const noting = await this.#records.note(
      subject,
      (history) => noted(keepEarlier(history), { version, outcome: "removed", at, detail }),
      removals,
    );
    if (noting !== null) return source;
    const key = this.#records.keys.source(subject);
    throw new WriteConflict(`${key} was changed by somebody else just now; look again`);
  }

  async #write(
    subject: Subject,
    text: string,
    by: string,
    before: SourceEntry | null,
  ): Promise<void> {
    const version = versionOf(text);
    const at = this.#now();
    await this.#records.keep(subject, version, text);
    if (before !== null) await this.#records.keep(subject, before.version, before.text);
    const keepEarlier = withUnrecorded(subject, before?.version ?? null, at);
    const update = (history: History) =>
      noted(keepEarlier(history), { version, outcome: "pushed", at, by });
    const key = before?.key ?? this.#records.keys.source(subject);
    const cas = before?.modifyIndex ?? 0;
    if (Buffer.byteLength(text) <= maxInTransaction) {
      // In one transaction, so that the loser of a race leaves no trace: a crowd of losers would push the live
      // version out of the history.
      if ((await this.#records.note(subject, update, [{ key, text, cas }])) !== null) return;
    } else {
      // Written before the source itself, so that a gateway that sees the source finds who brought it.
      await this.#records.note(subject, update);
      if (await this.#records.kv.put(key, text, { cas })) return;
      const since = new Date(at).toISOString();
      await this.#records.note(subject, (history) => {
        const lost = history.find(
          (one) => one.version === version && one.outcome === "pushed" && one.at === since,
        );
        return lost === undefined ? history : history.filter((one) => one !== lost);
      });
    }
    throw new WriteConflict(
      `${key} was changed by somebody else just now; look at it and push again`,
    );
  }

  async #source(subject: Subject): Promise<SourceEntry> {
    checkSubject(this.#records, subject);
    const source = await this.#records.source(subject);
    if (source === null) throw new SourceMissing(`there is no ${subject}`);
    return source;
  }

  async #agreement(subject: Subject): Promise<Agreement | null> {
    const { kind, name } = partsOf(subject);
    return kind === "scripts" ? this.#records.agreement(name) : null;
  }

  /** The subject of a host or a name, in its one spelling. @throws DocumentError */
  subjectOf(kind: SubjectKind, name: string): Subject {
    if (hostOf(`${kind}/`) !== null && parseHostName(name) === null) {
      const problem = `${JSON.stringify(name)} is not a host or *.domain: no scheme, no port, no path`;
      throw new DocumentError("bad_key", `${kind}/${name}`, problem);
    }
    return `${kind}/${parseEntryName(entryKinds[kind], `${kind}/${name}`, name, this.#records.sites)}`;
  }
}

function checkSubject(records: Records, subject: Subject): void {
  const { kind, name } = partsOf(subject);
  parseEntryName(entryKinds[kind], records.keys.source(subject), name, records.sites);
}

/** Adds the version that was there before anybody kept a history. What serves of scripts is in their agreement. */
function withUnrecorded(subject: Subject, version: string | null, at: number) {
  const isKept = partsOf(subject).kind === "scripts" || version === null;
  return (history: History) => (isKept ? history : withEarlier(history, version, at));
}
