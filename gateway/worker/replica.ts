/**
 * A worker's copy of the desired state. It applies snapshots and deltas: it builds new tables beside the old ones and
 * swaps them by one assignment. It sends nothing; the worker does that.
 */
import {
  type Delta,
  emptyTables,
  LayeredMap,
  type Served,
  type Snapshot,
  type Tables,
} from "../model/index.ts";

/** The result of applying a delta. */
export type Applied =
  | "applied"
  /** The delta starts from another version than this replica's, so a snapshot is needed. */
  | "gap";

export class Replica {
  #tables: Tables = emptyTables();
  #boot = "";
  #version = -1;

  get tables(): Tables {
    return this.#tables;
  }

  /** The boot id of the primary that numbers the versions; empty before the first snapshot. */
  get boot(): string {
    return this.#boot;
  }

  /** -1 before the first snapshot. */
  get version(): number {
    return this.#version;
  }

  /** Whether this replica has exactly this version from this primary. */
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

/** Returns new tables, which share with `tables` everything that no change concerns. */
function withChanges(tables: Tables, changes: readonly Served[]): Tables {
  const byKind = Map.groupBy(changes, ({ kind }) => kind);
  const next = Array.from(byKind, ([kind, some]) => {
    const table: ReadonlyMap<string, unknown> = tables[kind];
    const layers = table instanceof LayeredMap ? table : new LayeredMap(table);
    return [kind, layers.with(some.map(({ key, value }) => [key, value] as const))] as const;
  });
  // The type of `Served` guarantees that a change's value fits its kind; TypeScript cannot follow that for a table
  // chosen at run time.
  return { ...tables, ...(Object.fromEntries(next) as Partial<Tables>) };
}
