/**
 * The results of examinations, by everything that they depend on, so that a source that was examined with the
 * same modules and settings is not examined again. A source that does not read settings does not depend on
 * them.
 */
import { createHash } from "node:crypto";
import type { Json, Source } from "../../model/index.ts";
import { seesSettings } from "../run/tenant-settings.ts";
import type { Examination, ExamineScript, ScriptTables } from "../sandbox.ts";
import { modulesFor } from "./module-graph.ts";

const maxVerdicts = 5_000;

export class Verdicts {
  readonly #known = new Map<string, Examination>();
  /** Settings are replaced and never changed. */
  readonly #digests = new WeakMap<ReadonlyMap<string, Json>, string>();

  /** `examine`, except for what was examined already. */
  remember(examine: ExamineScript): ExamineScript {
    return async (host, tables, isWanted) => {
      const key = this.#keyOf(host, tables);
      const known = key === null ? undefined : this.#known.get(key);
      if (key === null || known !== undefined) return known ?? examine(host, tables, isWanted);
      let isSuperseded = false;
      const found = await examine(host, tables, () => {
        isSuperseded = isWanted?.() === false;
        return !isSuperseded;
      });
      if (!isSuperseded) this.#keep(key, found);
      return found;
    };
  }

  #keep(key: string, found: Examination): void {
    this.#known.set(key, found);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= maxVerdicts) break;
      this.#known.delete(oldest);
    }
  }

  /** `null` for what is refused without an examination. */
  #keyOf(host: string, tables: ScriptTables): string | null {
    const source = tables.script.get(host);
    const modules = source === undefined ? null : modulesFor(source, tables.module);
    if (source === undefined || modules === null) return null;
    const hash = createHash("sha256").update(`${host}\n${source.version}\n`);
    // Missing modules are part of the key, too.
    for (const [name, { version }] of [...modules].sort(([a], [b]) => (a < b ? -1 : 1))) {
      hash.update(`${name}\n${version}\n`);
    }
    const areSeen = [source, ...modules.values()].some(seesSettingsOf);
    return hash.update(areSeen ? this.#digestOf(tables.setting) : "").digest("hex");
  }

  #digestOf(settings: ReadonlyMap<string, Json>): string {
    let digest = this.#digests.get(settings);
    if (digest === undefined) {
      const sorted = [...settings].sort(([a], [b]) => (a < b ? -1 : 1));
      digest = createHash("sha256").update(JSON.stringify(sorted)).digest("hex");
      this.#digests.set(settings, digest);
    }
    return digest;
  }
}

const sees = new WeakMap<Source, boolean>();

function seesSettingsOf(source: Source): boolean {
  const known = sees.get(source) ?? seesSettings(source.text);
  sees.set(source, known);
  return known;
}
