/**
 * What changes: what was observed in Consul, and what is therefore served. A delta leads from one version of what is
 * served to the next; a snapshot contains one whole version.
 */

import type { Source } from "./entries.ts";
import {
  type Entries,
  type Kind,
  kinds,
  type ReleasedKind,
  type ServedKind,
  type StraightKind,
  servedKinds,
} from "./kinds.ts";

/** An entry of a kind in `K`; `null` when it is gone. */
type EntryOf<K extends Kind> = {
  [Each in K]: { readonly kind: Each; readonly key: string; readonly value: Entries[Each] | null };
}[K];

/** What Consul has now, as the sources read it. Whether it will be served is not decided yet. */
export type Observed = Straight | Candidate;

/** What Consul has now, for the kinds that releases/ decides on. */
export type Candidate = EntryOf<Exclude<ReleasedKind, VersionedKind>> | DocumentCandidate;

/** A document that has versions, with the text that it was read from, or without one when it is gone. */
export type DocumentCandidate = {
  [Each in VersionedKind]: EntryOf<Each> & { readonly source?: Source };
}[VersionedKind];

const versionedKinds = ["host", "upstream", "peer"] as const satisfies readonly ReleasedKind[];

/** The kinds of documents that have versions. */
export type VersionedKind = (typeof versionedKinds)[number];

export function isVersioned(kind: Kind): kind is VersionedKind {
  return versionedKinds.some((one) => one === kind);
}

/** What Consul has now, for the kinds that are served without a decision. */
export type Straight = EntryOf<StraightKind>;

/** What is served from now on. */
export type Served = EntryOf<ServedKind>;

/** Sorts what was observed by the way that it takes from here. */
export function byWay(observed: readonly Observed[]): {
  readonly straight: readonly Straight[];
  readonly candidates: readonly Candidate[];
} {
  const straight: Straight[] = [];
  const candidates: Candidate[] = [];
  for (const change of observed) {
    if (isStraight(change)) straight.push(change);
    else candidates.push(change);
  }
  return { straight, candidates };
}

function isStraight(change: Observed): change is Straight {
  return kinds[change.kind].way === "straight";
}

/** The step from one version to the next. */
export interface Delta {
  /** Identifies the primary process that counts. Versions from different boots cannot be compared. */
  readonly boot: string;
  readonly from: number;
  readonly to: number;
  readonly changes: readonly Served[];
}

/** A whole version: every entry as a change with a value. */
export interface Snapshot {
  readonly boot: string;
  readonly version: number;
  readonly changes: readonly Served[];
}

/** The whole state, with one table for each kind. */
export type Tables = { readonly [K in ServedKind]: ReadonlyMap<string, Entries[K]> };

export type MutableTables = { readonly [K in ServedKind]: Map<string, Entries[K]> };

/** No entry of any kind. */
export function emptyTables(): MutableTables {
  return tablesOf(() => new Map());
}

/** Returns separate tables with the same entries. */
export function copyTables(tables: Tables): MutableTables {
  return tablesOf((kind) => new Map<string, unknown>(tables[kind]));
}

/** Applies a change to `tables`. */
export function applyChange(tables: MutableTables, { kind, key, value }: Served): void {
  // The type of `Served` guarantees that a change's value fits its kind; TypeScript cannot follow that for a table
  // chosen at run time.
  const table = tables[kind] as Map<string, unknown>;
  if (value === null) table.delete(key);
  else table.set(key, value);
}

/** Returns every entry of these kinds as a change. */
export function changesOf(tables: Tables, kinds: readonly ServedKind[]): readonly Served[] {
  const of = (kind: ServedKind) =>
    // The same type gap as in `applyChange`, in the other direction.
    Array.from(
      tables[kind] as ReadonlyMap<string, unknown>,
      ([key, value]) => ({ kind, key, value }) as Served,
    );
  return kinds.flatMap(of);
}

function tablesOf(make: (kind: ServedKind) => Map<string, unknown>): MutableTables {
  return Object.fromEntries(servedKinds.map((kind) => [kind, make(kind)])) as MutableTables;
}
