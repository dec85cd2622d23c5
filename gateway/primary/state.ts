/**
 * The desired state and its version counter. Turns changes into versions; knows neither where changes
 * come from nor who applies them.
 */
import { isDeepStrictEqual } from "node:util";
import {
  applyChange,
  changesOf,
  copyTables,
  type Delta,
  emptyTables,
  kinds,
  type MutableTables,
  type Served,
  type ServedKind,
  type Snapshot,
  servedKinds,
  type Tables,
} from "../model/index.ts";

const forWorkers = servedKinds.filter((kind) => kinds[kind].reach === "workers");
const forDisk = servedKinds.filter((kind) => kinds[kind].saved);

export interface StateOptions {
  /** Identifies this primary process; versions of another boot do not compare. */
  readonly boot: string;
  /** What to begin with, as version 1. Default: nothing, as version 0. */
  readonly tables?: Tables;
}

export class State {
  readonly boot: string;
  readonly #tables: MutableTables;
  #version: number;
  /** The snapshot of the current version, once somebody asked for it. */
  #snapshot: Snapshot | null = null;

  constructor({ boot, tables }: StateOptions) {
    this.boot = boot;
    this.#version = tables === undefined ? 0 : 1;
    this.#tables = copyTables(tables ?? emptyTables());
  }

  get version(): number {
    return this.#version;
  }

  /** A live view: it shows every later commit. */
  get tables(): Tables {
    return this.#tables;
  }

  /**
   * Applies `asked`, the last one of a key winning, as one version. Returns the step that workers take, or `null`
   * when every value is deeply equal to what is there. Costs what the changes cost, however large the state.
   */
  commit(asked: readonly Served[]): Delta | null {
    const last = new Map<string, Served>();
    for (const change of asked) last.set(`${change.kind}/${change.key}`, change);
    const real = [...last.values()].filter((change) => this.#differs(change));
    if (real.length === 0) return null;
    for (const change of real) applyChange(this.#tables, change);
    const from = this.#version;
    this.#version = from + 1;
    this.#snapshot = null;
    const changes = real.filter(({ kind }) => kinds[kind].reach === "workers");
    return { boot: this.boot, from, to: this.#version, changes };
  }

  /** The current version as workers have it; the same object until the next commit. */
  snapshot(): Snapshot {
    this.#snapshot ??= this.#whole(forWorkers);
    return this.#snapshot;
  }

  /** The current version as it is kept on disk. */
  saved(): Snapshot {
    return this.#whole(forDisk);
  }

  #whole(kinds: readonly ServedKind[]): Snapshot {
    return { boot: this.boot, version: this.#version, changes: changesOf(this.#tables, kinds) };
  }

  #differs(change: Served): boolean {
    const table: ReadonlyMap<string, unknown> = this.#tables[change.kind];
    const value = table.get(change.key);
    if (change.value === null) return value !== undefined || table.has(change.key);
    return !isDeepStrictEqual(value, change.value) || !table.has(change.key);
  }
}

/** The tables that a list of changes makes out of nothing. */
export function tablesFrom(changes: readonly Served[]): Tables {
  const tables = emptyTables();
  for (const change of changes) applyChange(tables, change);
  return tables;
}
