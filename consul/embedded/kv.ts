/**
 * The key/value store (Consul API, "KV Store"): entries, checks against an index, locks, and the index
 * of a key or a prefix. Functions on a transaction or a reader; no HTTP.
 */
import { ApiError } from "./api-error.ts";
import type { KvRecord } from "./records.ts";
import type { Reader, Transaction } from "./store.ts";

export interface KvValue {
  readonly key: string;
  readonly value: string | null;
  readonly flags: number;
}

export interface KvList {
  readonly index: number;
  readonly entries: readonly KvRecord[];
}

/** Beyond this many deleted keys, one common index that counts for every prefix replaces their own. */
const mostTombstones = 10_000;

/** The entry of a key, with its index, or with that of the whole store when there is no entry. */
export function getKey(reader: Reader, key: string): { index: number; entry: KvRecord | null } {
  const entry = reader.get("kv", key) ?? null;
  return { index: entry?.ModifyIndex ?? storeIndex(reader), entry };
}

/**
 * The entries under a prefix in the order of their keys, with the index of the last change or deletion under the
 * prefix, or that of the whole store when there never was one.
 */
export function listKeys(reader: Reader, prefix: string): KvList {
  const entries: KvRecord[] = [];
  let last = 0;
  for (const [key, entry] of reader.rows("kv")) {
    if (!key.startsWith(prefix)) continue;
    entries.push(entry);
    last = Math.max(last, entry.ModifyIndex);
  }
  entries.sort((a, b) => (a.Key < b.Key ? -1 : 1));
  if (prefix === "") return { index: storeIndex(reader), entries };
  for (const [key, index] of reader.rows("tombstone")) {
    if (key.startsWith(prefix)) last = Math.max(last, index);
  }
  last = Math.max(last, reader.get("index", "tombstones") ?? 0);
  return { index: last === 0 ? storeIndex(reader) : last, entries };
}

/** Keys under `prefix`, cut after the first `separator` that follows it; an empty one cuts nothing. */
export function foldKeys(keys: readonly string[], prefix: string, separator: string): string[] {
  if (separator === "") return [...keys];
  const folded = new Set<string>();
  for (const key of keys) {
    const at = key.indexOf(separator, prefix.length);
    folded.add(at < 0 ? key : key.slice(0, at + separator.length));
  }
  return [...folded];
}

/** Writes a key. An entry that stays the same keeps its index. A lock is kept, its count is not, as in Consul. */
export function setKey(tx: Transaction, value: KvValue): KvRecord {
  const session = tx.get("kv", value.key)?.Session;
  return write(tx, value, 0, session);
}

/** Writes a key if its ModifyIndex is `index`, or with 0 if the key does not exist. `null`: it did not write. */
export function casKey(tx: Transaction, value: KvValue, index: number): KvRecord | null {
  const entry = tx.get("kv", value.key);
  return (entry?.ModifyIndex ?? 0) === index ? setKey(tx, value) : null;
}

/** Takes the lock of a key for a session. `null` when another session holds it. Throws for an unknown session. */
export function lockKey(tx: Transaction, value: KvValue, session: string): KvRecord | null {
  requireSession(tx, session);
  const entry = tx.get("kv", value.key);
  if (entry?.Session !== undefined && entry.Session !== session) return null;
  const lockIndex = entry?.LockIndex ?? 0;
  return write(tx, value, entry?.Session === session ? lockIndex : lockIndex + 1, session);
}

/** Gives the lock back, and writes the value. `null` when this session does not hold it. */
export function unlockKey(tx: Transaction, value: KvValue, session: string): KvRecord | null {
  const entry = tx.get("kv", value.key);
  if (entry === undefined || entry.Session !== session) return null;
  return write(tx, value, entry.LockIndex, undefined);
}

/** Releases the lock of a session that ends, and keeps the value. */
export function releaseKey(tx: Transaction, entry: KvRecord): void {
  const { Session: _, ...unlocked } = entry;
  put(tx, { ...unlocked, ModifyIndex: tx.index });
}

export function deleteKey(tx: Transaction, key: string): void {
  if (tx.get("kv", key) === undefined) return;
  tx.delete("kv", key);
  tx.set("tombstone", key, tx.index);
  tx.set("index", "kvs", tx.index);
  foldTombstones(tx);
}

/** False when the key is there with another index. */
export function deleteKeyCas(tx: Transaction, key: string, index: number): boolean {
  const entry = tx.get("kv", key);
  if (entry === undefined) return true;
  if (entry.ModifyIndex !== index) return false;
  deleteKey(tx, key);
  return true;
}

export function deletePrefix(tx: Transaction, prefix: string): void {
  const keys = [...tx.rows("kv").keys()].filter((key) => key.startsWith(prefix));
  for (const key of keys) deleteKey(tx, key);
}

function write(
  tx: Transaction,
  { key, value, flags }: KvValue,
  lockIndex: number,
  session: string | undefined,
): KvRecord {
  const before = tx.get("kv", key);
  if (
    before !== undefined &&
    before.Value === value &&
    before.Flags === flags &&
    before.LockIndex === lockIndex &&
    before.Session === session
  ) {
    return before;
  }
  const entry = {
    LockIndex: lockIndex,
    Key: key,
    Flags: flags,
    Value: value,
    ...(session === undefined ? {} : { Session: session }),
    CreateIndex: before?.CreateIndex ?? tx.index,
    ModifyIndex: tx.index,
  };
  put(tx, entry);
  return entry;
}

function put(tx: Transaction, entry: KvRecord): void {
  tx.set("kv", entry.Key, entry);
  tx.set("index", "kvs", tx.index);
}

function storeIndex(reader: Reader): number {
  return Math.max(1, reader.get("index", "kvs") ?? 0);
}

function foldTombstones(tx: Transaction): void {
  if (tx.rows("tombstone").size <= mostTombstones) return;
  for (const key of [...tx.rows("tombstone").keys()]) tx.delete("tombstone", key);
  tx.set("index", "tombstones", tx.index);
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Throws when the text cannot be the ID of a session. */
export function requireSessionId(id: string): void {
  if (id.length !== 36) {
    throw new ApiError(500, "failed session lookup: index error: UUID must be 36 characters");
  }
  if (!uuid.test(id)) throw new ApiError(500, "failed session lookup: index error: invalid UUID");
}

function requireSession(reader: Reader, id: string): void {
  requireSessionId(id);
  if (reader.get("session", id) === undefined) {
    throw new ApiError(500, `invalid session "${id}"`);
  }
}
