/**
 * A worker's copy of the desired state. Applies snapshots and deltas: new tables are made beside the
 * old ones and swapped by one assignment. It sends nothing; the worker does that.
 */
import {
  applyChange,
  copyTables,
  type Delta,
  emptyTables,
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

/** New tables; the kinds that no change concerns are shared with `tables`. */
function withChanges(tables: Tables, changes: readonly Served[]): Tables {
  const next = copyTables(tables, new Set(changes.map(({ kind }) => kind)));
  for (const change of changes) applyChange(next, change);
  return next;
}
