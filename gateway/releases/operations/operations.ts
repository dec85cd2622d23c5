/**
 * What operators do with scripts and modules: list, show, test, push, roll back, remove. The commands
 * and the admin API are two faces of it. A version that it would refuse never reaches Consul.
 */
import {
  DocumentError,
  maxDocumentBytes,
  parseEntryName,
  parseHostName,
} from "../../documents/index.ts";
import type { Agreement, Json, Source } from "../../model/index.ts";
import {
  type Examination,
  type ExamineScript,
  imports,
  ModuleGraph,
  type ScriptTables,
} from "../../sandbox/index.ts";
import { isTakenBack } from "../agreement/steps.ts";
import { type History, lastGood, noted } from "../records/history.ts";
import { type Subject, versionOf } from "../records/keys.ts";
import {
  type Records,
  type SourceEntry,
  type StoredSource,
  WriteConflict,
} from "../records/records.ts";
import { SourceMissing, SourceRefused } from "./errors.ts";

export interface Listed {
  /** The host or the module's name. */
  readonly name: string;
  readonly version: string;
  readonly bytes: number;
  readonly modifyIndex: number;
}

export interface Shown extends SourceEntry {
  /** What the gateways agree on; `null` for a module, and as long as no gateway has said anything. */
  readonly life: Agreement | null;
}

export interface Pushed {
  readonly version: string;
  /** False: this version was there already. */
  readonly isNew: boolean;
  /** How many of its own tests passed. */
  readonly tests: number;
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
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

const shortVersion = /^[0-9a-f]{4,64}$/i;

export class Operations {
  readonly #records: Records;
  readonly #examine: ExamineScript;
  readonly #now: () => number;

  constructor({ records, examine, now }: OperationsOptions) {
    this.#records = records;
    this.#examine = examine;
    this.#now = now;
  }

  /** What is in KV, by name. */
  async list(kind: "scripts" | "modules"): Promise<readonly Listed[]> {
    const entries = await this.#entries(kind);
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

  /** Examines a source with the modules and settings that are in KV; writes nothing. */
  async test(subject: Subject, text: string): Promise<Examination> {
    const [modules, settings] = await Promise.all([
      this.#entries("modules"),
      this.#records.kv.list(this.#records.keys.folder("settings")),
    ]);
    const setting = new Map<string, Json>();
    for (const { key, text: json } of settings) {
      const value = parseLoosely(json);
      // A setting that cannot be read is refused by the gateways too, and the one before stays.
      if (value !== undefined) setting.set(key.slice(key.lastIndexOf("/") + 1), value);
    }
    const module = new Map(modules.map((entry) => [entry.name, asSource(entry.text)]));
    const name = nameOf(subject);
    if (subject.startsWith("scripts/")) return this.#examineOne(name, text, { module, setting });
    module.set(name, asSource(text));
    return this.#examineModule(name, { module, setting });
  }

  /** As `test`, but as if Consul were empty: where it does not answer. */
  testAlone(subject: Subject, text: string): Promise<Examination> {
    const name = nameOf(subject);
    const setting = new Map<string, Json>();
    if (subject.startsWith("scripts/")) {
      return this.#examineOne(name, text, { module: new Map(), setting });
    }
    return this.#probe(name, { module: new Map([[name, asSource(text)]]), setting });
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
    if (before?.version === version) return { version, isNew: false, tests: passed };
    await this.#write(subject, text, by, before);
    return { version, isNew: true, tests: passed };
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

  /** @throws SourceMissing, SourceRefused for a module that scripts import. */
  async remove(subject: Subject, by: string): Promise<void> {
    const { version } = await this.#source(subject);
    if (subject.startsWith("modules/")) {
      const importer = await this.#importerOf(nameOf(subject));
      if (importer !== null) {
        const message = `${importer} imports it`;
        throw new SourceRefused({ key: subject, line: 0, column: 0, message });
      }
    }
    // All spellings of it: the next one would come into force.
    const entries = await this.#records.sources(subject);
    const removals = entries.map(({ key, modifyIndex }) => ({ key, text: null, cas: modifyIndex }));
    if (!(await this.#records.kv.transact(removals))) {
      const key = this.#records.keys.source(subject);
      throw new WriteConflict(`${key} was changed by somebody else just now; look again`);
    }
    const at = this.#now();
    await this.#records.note(subject, (history) =>
      noted(history, { version, outcome: "removed", at, detail: `by ${by}` }),
    );
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
    // Before the source itself: a gateway that sees it finds out who brought it.
    await this.#records.note(subject, (history) =>
      noted(history, { version, outcome: "pushed", at, by }),
    );
    const key = before?.key ?? this.#records.keys.source(subject);
    if (await this.#records.kv.put(key, text, { cas: before?.modifyIndex ?? 0 })) return;
    await this.#records.note(subject, (history) => {
      const [latest, ...rest] = history;
      return latest?.version === version && latest.outcome === "pushed" ? rest : history;
    });
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
    return subject.startsWith("scripts/") ? this.#records.agreement(nameOf(subject)) : null;
  }

  async #entries(kind: "scripts" | "modules") {
    const prefix = this.#records.keys.folder(kind);
    const entries = await this.#records.kv.list(prefix);
    const named = entries
      .map(({ key, ...entry }) => ({ name: key.slice(prefix.length), ...entry }))
      .filter(({ name }) => name !== "" && !name.endsWith("/"));
    return kind === "scripts" ? this.#inForce(named) : named;
  }

  /** By the names of their sites: of those that are one site, the one that is in force. */
  #inForce<T extends { readonly name: string }>(entries: readonly T[]): readonly T[] {
    const { sites } = this.#records;
    const bySite = new Map<string, T>();
    for (const entry of entries) {
      const host = parseHostName(entry.name);
      const isTagged = host !== null && (sites.find(host)?.tag ?? null) !== null;
      const name = host === null || isTagged ? entry.name : sites.nameOf(host);
      if (entry.name === name || !bySite.has(name)) bySite.set(name, { ...entry, name });
    }
    return [...bySite.values()];
  }

  /** The subject of a host or a module's name, in its one spelling. @throws DocumentError */
  subjectOf(kind: "scripts" | "modules", name: string): Subject {
    if (kind === "scripts" && parseHostName(name) === null) {
      const problem = `${JSON.stringify(name)} is not a host or *.domain: no scheme, no port, no path`;
      throw new DocumentError("bad_key", `${kind}/${name}`, problem);
    }
    const entry = kind === "scripts" ? "script" : "module";
    return `${kind}/${parseEntryName(entry, `${kind}/${name}`, name, this.#records.sites)}`;
  }

  #examineOne(host: string, text: string, tables: Omit<ScriptTables, "script">) {
    return this.#examine(host, { ...tables, script: new Map([[host, asSource(text)]]) });
  }

  /** A module is good when it loads, and so does every script that imports it. */
  async #examineModule(name: string, tables: Omit<ScriptTables, "script">): Promise<Examination> {
    const found = await this.#probe(name, tables);
    if (found.fault !== null) return found;
    const graph = new ModuleGraph(tables.module);
    const concerned = graph.concernedBy([name]);
    for (const script of await this.#entries("scripts")) {
      if (!imports(asSource(script.text), concerned)) continue;
      const { fault } = await this.#examineOne(script.name, script.text, tables);
      if (fault === null) continue;
      const message = `it would break scripts/${script.name}: ${fault.message}`;
      return { ...found, fault: { ...fault, message } };
    }
    return found;
  }

  /** The smallest script that imports a module. */
  #probe(name: string, tables: Omit<ScriptTables, "script">): Promise<Examination> {
    const specifier = JSON.stringify(`modules/${name}`);
    const text = `import * as module from ${specifier};\nexport default () => void module;\n`;
    return this.#examineOne(`modules/${name}`, text, tables);
  }

  async #importerOf(name: string): Promise<string | null> {
    for (const kind of ["scripts", "modules"] as const) {
      for (const entry of await this.#entries(kind)) {
        if (imports(asSource(entry.text), new Set([name]))) return `${kind}/${entry.name}`;
      }
    }
    return null;
  }
}

function checkSubject(records: Records, subject: Subject): void {
  const kind = subject.startsWith("scripts/") ? "script" : "module";
  parseEntryName(kind, records.keys.source(subject), nameOf(subject), records.sites);
}

function nameOf(subject: Subject): string {
  return subject.slice(subject.indexOf("/") + 1);
}

function asSource(text: string): Source {
  return { text, version: versionOf(text), modifyIndex: 0 };
}

function parseLoosely(json: string): Json | undefined {
  try {
    return JSON.parse(json) as Json;
  } catch {
    return undefined;
  }
}
