/** What is in KV of one kind, by the names of its entries: of several spellings of a site, the one that is in force. */
import { parseHostName } from "../../documents/index.ts";
import { hostOf, type Subject, type SubjectKind } from "../records/keys.ts";
import type { Records } from "../records/records.ts";

export interface NamedEntry {
  readonly name: string;
  readonly text: string;
  readonly modifyIndex: number;
}

/** Rejects with a `ConsulError`. */
export async function entriesOf(
  records: Records,
  kind: SubjectKind,
): Promise<readonly NamedEntry[]> {
  const prefix = records.keys.folder(kind);
  const entries = (await records.kv.list(prefix))
    .map(({ key, text, modifyIndex }) => ({ name: key.slice(prefix.length), text, modifyIndex }))
    .filter(({ name }) => name !== "" && !name.endsWith("/"));
  const subject: Subject = `${kind}/`;
  return hostOf(subject) === null ? entries : inForce(records, entries);
}

function inForce({ sites }: Records, entries: readonly NamedEntry[]): readonly NamedEntry[] {
  const bySite = new Map<string, NamedEntry>();
  for (const entry of entries) {
    const host = parseHostName(entry.name);
    const isTagged = host !== null && (sites.find(host)?.tag ?? null) !== null;
    const name = host === null || isTagged ? entry.name : sites.nameOf(host);
    if (entry.name === name || !bySite.has(name)) bySite.set(name, { ...entry, name });
  }
  return [...bySite.values()];
}
