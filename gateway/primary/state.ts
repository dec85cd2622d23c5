/**
 * The desired state and its version counter. Turns changes into versions; knows neither where changes
 * come from nor who applies them.
 */
import { isDeepStrictEqual } from "node:util";
import {
  type Change,
  type Delta,
  type Entries,
  emptyTables,
  type Kind,
  type Snapshot,
  type Tables,
} from "../model/index.ts";

export interface StateOptions {
  /** Identifies this primary process; versions of another boot do not compare. */
  readonly boot: string;
  /** What to begin with, as version 1. Default: nothing, as version 0. */
  readonly tables?: Tables;
}

type MutableTables = { readonly [K in Kind]: Map<string, Entries[K]> };

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
   * Applies `changes`, the last one of a key winning, as one version. Returns the step, or `null` when
   * every value is deeply equal to what is there. Costs what the changes cost, however large the state.
   */
  commit(changes: readonly Change[]): Delta | null {
    const last = new Map<string, Change>();
    for (const change of changes) last.set(`${change.kind}/${change.key}`, change);
    const real = [...last.values()].filter((change) => this.#differs(change));
    if (real.length === 0) return null;
    for (const change of real) applyChange(this.#tables, change);
    const from = this.#version;
    this.#version = from + 1;
    this.#snapshot = null;
    return { boot: this.boot, from, to: this.#version, changes: real };
  }

  /** The current version as a whole; the same object until the next commit. */
  snapshot(): Snapshot {
    this.#snapshot ??= {
      boot: this.boot,
      version: this.#version,
      changes: changesOf(this.#tables),
    };
    return this.#snapshot;
  }

  #differs(change: Change): boolean {
    const table: ReadonlyMap<string, unknown> = this.#tables[change.kind];
    const value = table.get(change.key);
    if (change.value === null) return value !== undefined || table.has(change.key);
    return !isDeepStrictEqual(value, change.value) || !table.has(change.key);
  }
}

/** The tables that a list of changes makes out of nothing. */
export function tablesFrom(changes: readonly Change[]): Tables {
  const tables = emptyTables();
  for (const change of changes) applyChange(tables, change);
  return tables;
}

function copyTables(tables: Tables): MutableTables {
  return {
    upstream: new Map(tables.upstream),
    host: new Map(tables.host),
    service: new Map(tables.service),
    catalog: new Map(tables.catalog),
    datacenter: new Map(tables.datacenter),
    script: new Map(tables.script),
    module: new Map(tables.module),
    setting: new Map(tables.setting),
    life: new Map(tables.life),
    trial: new Map(tables.trial),
    closed: new Map(tables.closed),
  };
}

function applyChange(tables: MutableTables, change: Change): void {
  // A change's value belongs to its kind's table; the checker cannot pair them across the union.
  const table = tables[change.kind] as Map<string, unknown>;
  if (change.value === null) table.delete(change.key);
  else table.set(change.key, change.value);
}

function changesOf(tables: Tables): Change[] {
  const changes: Change[] = [];
  const add = <K extends Kind>(kind: K) => {
    for (const [key, value] of tables[kind]) {
      // Same pairing as in applyChange, the other way round.
      changes.push({ kind, key, value } as Change);
    }
  };
  // Modules and settings first: whoever applies in order has them before the scripts.
  const order: readonly Kind[] = [
    "setting",
    "life",
    "trial",
    "closed",
    "module",
    "script",
    "upstream",
    "host",
    "datacenter",
    "catalog",
    "service",
  ];
  for (const kind of order) add(kind);
  return changes;
}
