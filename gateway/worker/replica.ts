/**
 * A worker's copy of the desired state. Applies snapshots and deltas: new tables are made beside the
 * old ones and swapped by one assignment. It sends nothing; the worker does that.
 */
import {
  type Delta,
  emptyTables,
  LayeredMap,
  type Served,
  type Snapshot,
  type Tables,
} from "../model/index.ts";

/** What became of a delta. */
export type Applied =
  | "applied"
  /** It starts from another version than this replica's: a snapshot is needed. */
  | "gap";

export class Replica {
  #tables: Tables = emptyTables();
  #boot = "";
  #version = -1;

  get tables(): Tables {
    return this.#tables;
  }

  /** The boot id of the primary whose versions these are; empty before the first snapshot. */
  get boot(): string {
    return this.#boot;
  }

  /** -1 before the first snapshot. */
  get version(): number {
    return this.#version;
  }

  /** Whether the primary's counter stands where this replica stands. */
  isAt(boot: string, version: number): boolean {
    return this.#boot === boot && this.#version === version;
  }

  applySnapshot(snapshot: Snapshot): void {
    this.#tables = withChanges(emptyTables(), snapshot.changes);
    this.#boot = snapshot.boot;
    this.#version = snapshot.version;
  }

  applyDelta(delta: Delta): Applied {
    if (!this.isAt(delta.boot, delta.from)) return "gap";
    this.#tables = withChanges(this.#tables, delta.changes);
    this.#version = delta.to;
    return "applied";
  }
}

/** New tables, which share with `tables` what no change concerns. */
function withChanges(tables: Tables, changes: readonly Served[]): Tables {
  const byKind = Map.groupBy(changes, ({ kind }) => kind);
  const next = Array.from(byKind, ([kind, some]) => {
    const table: ReadonlyMap<string, unknown> = tables[kind];
    const layers = table instanceof LayeredMap ? table : new LayeredMap(table);
    return [kind, layers.with(some.map(({ key, value }) => [key, value] as const))] as const;
  });
  // A change's value is of its kind by the type of `Served`; a table chosen at run time cannot say so.
  return { ...tables, ...(Object.fromEntries(next) as Partial<Tables>) };
}
