/**
 * The checks that examinations found for sources (`Source.checks`), by version, on their way into what is
 * served. A source from a state that an earlier Sluice wrote is served without them at first; it gets them when
 * it is examined.
 */
import type { Served, Source, Tables, Trial } from "../../model/index.ts";
import type { ExamineScript, ScriptTables } from "../../sandbox/index.ts";

/** More versions than there are examinations under way. */
const maxKnown = 20_000;

export class SourceChecks {
  readonly #pass: (changes: readonly Served[]) => void;
  readonly #known = new Map<string, string>();
  /** What is served without checks, by kind and key. */
  readonly #without = new Map<string, Served>();

  /** @param pass takes what is served already, with its checks. */
  constructor(live: Tables, pass: (changes: readonly Served[]) => void) {
    this.#pass = pass;
    for (const [key, value] of live.script) this.#give({ kind: "script", key, value });
    for (const [key, value] of live.module) this.#give({ kind: "module", key, value });
    for (const [key, value] of live.trial) this.#give({ kind: "trial", key, value });
  }

  /** `examine`, but learns from what it finds. */
  learnFrom(examine: ExamineScript): ExamineScript {
    return async (host, tables, isWanted) => {
      const found = await examine(host, tables, isWanted);
      if (found.checks !== undefined) this.#learn(tables, found.checks);
      return found;
    };
  }

  /** The same changes with the checks of their sources. */
  give(changes: readonly Served[]): readonly Served[] {
    return changes.map((change) => this.#give(change));
  }

  #learn({ script, module }: ScriptTables, checks: ReadonlyMap<string, string>): void {
    const learnt = new Set<string>();
    for (const [key, found] of checks) {
      const [table, name] = key.startsWith("modules/")
        ? [module, key.slice("modules/".length)]
        : [script, key.slice("scripts/".length)];
      const version = table.get(name)?.version;
      if (version === undefined) continue;
      this.#known.delete(version);
      this.#known.set(version, found);
      learnt.add(version);
    }
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= maxKnown) break;
      this.#known.delete(oldest);
    }
    if (this.#without.size === 0) return;
    const late = [...this.#without.values()].filter((change) =>
      sourcesOf(change).some(({ version }) => learnt.has(version)),
    );
    if (late.length > 0) this.#pass(this.give(late));
  }

  #give(change: Served): Served {
    const given = this.#withChecks(change);
    const place = `${change.kind}/${change.key}`;
    if (sourcesOf(given).some(({ checks }) => checks === undefined))
      this.#without.set(place, given);
    else this.#without.delete(place);
    return given;
  }

  #withChecks(change: Served): Served {
    if (change.value === null) return change;
    switch (change.kind) {
      case "script":
      case "module":
        return { ...change, value: this.#checked(change.value) };
      case "trial":
        return { ...change, value: this.#ofTrial(change.value) };
      case "closed": {
        const { script, trial } = change.value;
        const value = {
          script: script === null ? null : this.#checked(script),
          trial: trial === null ? null : this.#ofTrial(trial),
        };
        return { ...change, value };
      }
      default:
        return change;
    }
  }

  #ofTrial(trial: Trial): Trial {
    return { ...trial, source: this.#checked(trial.source) };
  }

  #checked(source: Source): Source {
    const checks = source.checks ?? this.#known.get(source.version);
    return checks === undefined || checks === source.checks ? source : { ...source, checks };
  }
}

function sourcesOf({ kind, value }: Served): readonly Source[] {
  if (value === null) return [];
  if (kind === "script" || kind === "module") return value.isUnexamined ? [] : [value];
  return kind === "trial" ? [value.source] : [];
}
