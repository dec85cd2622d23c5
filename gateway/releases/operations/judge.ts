/**
 * Whether what an operator brings would pass: examined as gateways do it, with what is in KV, before it reaches Consul.
 * Writes nothing.
 */
import {
  DocumentError,
  foreignIn,
  parseHostDocument,
  parsePeerSettings,
  parseSetting,
  parseUpstreamDocument,
} from "../../documents/index.ts";
import { type Json, type Source, type TenantPolicy, versionOf } from "../../model/index.ts";
import {
  type ExamineScript,
  imports,
  ModuleGraph,
  type ScriptFault,
  type ScriptTables,
} from "../../sandbox/index.ts";
import { faultOf } from "../documents/document-releases.ts";
import { partsOf, type Subject, type SubjectKind } from "../records/keys.ts";
import type { Records } from "../records/records.ts";
import { entriesOf } from "./entries.ts";

export interface Judgement {
  /** `null`: it would pass. */
  readonly fault: ScriptFault | null;
  /** How many of its own tests passed. */
  readonly passed: number;
}

type Surroundings = Omit<ScriptTables, "script">;

export class Judge {
  readonly #records: Records;
  readonly #examine: ExamineScript;
  readonly #tenants: TenantPolicy | null;

  /** @param tenants `null`: there is one tenant. */
  constructor(records: Records, examine: ExamineScript, tenants: TenantPolicy | null) {
    this.#records = records;
    this.#examine = examine;
    this.#tenants = tenants;
  }

  /** With the modules and settings that are in KV. */
  async test(subject: Subject, text: string): Promise<Judgement> {
    const { kind, name } = partsOf(subject);
    if (isDocument(kind)) return this.#testDocument(subject, text);
    const [modules, settings] = await Promise.all([
      entriesOf(this.#records, "modules"),
      this.#records.kv.list(this.#records.keys.folder("settings")),
    ]);
    const setting = new Map<string, Json>();
    for (const { key, text: json } of settings) {
      const value = readSetting(key, json);
      // Gateways refuse one that cannot be read, too, and keep the one before.
      if (value !== undefined) setting.set(key.slice(key.lastIndexOf("/") + 1), value);
    }
    const module = new Map(modules.map((entry) => [entry.name, asSource(entry.text)]));
    if (kind === "scripts") return this.#testScript(name, text, { module, setting });
    module.set(name, asSource(text));
    return this.#testModule(name, { module, setting });
  }

  /** As `test`, but as if Consul were empty: where it does not answer. */
  async testAlone(subject: Subject, text: string): Promise<Judgement> {
    const { kind, name } = partsOf(subject);
    const setting = new Map<string, Json>();
    if (kind === "scripts") return this.#testScript(name, text, { module: new Map(), setting });
    if (kind === "modules") {
      return this.#probe(name, { module: new Map([[name, asSource(text)]]), setting });
    }
    return this.#testDocument(subject, text);
  }

  /** The script or module that imports a module; `null`: none does. */
  async importerOf(name: string): Promise<Subject | null> {
    for (const kind of ["scripts", "modules"] as const) {
      for (const entry of await entriesOf(this.#records, kind)) {
        if (imports(asSource(entry.text), new Set([name]))) return `${kind}/${entry.name}`;
      }
    }
    return null;
  }

  #testDocument(subject: Subject, text: string): Judgement {
    const { kind, name } = partsOf(subject);
    const find = foreignIn(this.#tenants);
    try {
      if (kind === "peers") {
        parsePeerSettings(subject, text);
        return { fault: null, passed: 0 };
      }
      if (kind === "upstreams") {
        const foreign = find("upstream", name, parseUpstreamDocument(subject, text));
        if (foreign !== null) throw new DocumentError("foreign", subject, foreign);
        return { fault: null, passed: 0 };
      }
      const document = parseHostDocument(subject, text);
      const foreign = find("host", name, document);
      if (foreign !== null) throw new DocumentError("foreign", subject, foreign);
      const fault = faultOf(subject, document);
      return { fault, passed: fault === null ? (document.tests?.length ?? 0) : 0 };
    } catch (error) {
      if (!(error instanceof DocumentError)) throw error;
      const fault = { key: subject, line: 0, column: 0, message: error.problem };
      return { fault, passed: 0 };
    }
  }

  #testScript(host: string, text: string, tables: Surroundings): Promise<Judgement> {
    return this.#examine(host, { ...tables, script: new Map([[host, asSource(text)]]) });
  }

  /** A module is good when it loads, and so does every script that imports it. */
  async #testModule(name: string, tables: Surroundings): Promise<Judgement> {
    const found = await this.#probe(name, tables);
    if (found.fault !== null) return found;
    const graph = new ModuleGraph(tables.module);
    const concerned = graph.concernedBy([name]);
    for (const script of await entriesOf(this.#records, "scripts")) {
      if (!imports(asSource(script.text), concerned)) continue;
      const { fault } = await this.#testScript(script.name, script.text, tables);
      if (fault === null) continue;
      const message = `it would break scripts/${script.name}: ${fault.message}`;
      return { ...found, fault: { ...fault, message } };
    }
    return found;
  }

  /** The smallest script that imports a module. */
  #probe(name: string, tables: Surroundings): Promise<Judgement> {
    const specifier = JSON.stringify(`modules/${name}`);
    const text = `import * as module from ${specifier};\nexport default () => void module;\n`;
    return this.#testScript(`modules/${name}`, text, tables);
  }
}

function isDocument(kind: SubjectKind): boolean {
  return kind === "hosts" || kind === "upstreams" || kind === "peers";
}

function asSource(text: string): Source {
  return { text, version: versionOf(text), modifyIndex: 0 };
}

function readSetting(key: string, json: string): Json | undefined {
  try {
    return parseSetting(key, json);
  } catch (error) {
    if (error instanceof DocumentError) return undefined;
    throw error;
  }
}
