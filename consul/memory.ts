/**
 * What the sources know besides what is served: which entries Consul showed, with which identity, and which are
 * held. Without it, a gateway that restarts after Consul has lost its data would take the few entries that are
 * back for everything.
 */
import { z } from "zod";
import type { LedgerMemory } from "./watching/ledger.ts";

export interface SourcesMemory {
  /** By kind of document. */
  readonly folders: Readonly<Record<string, LedgerMemory>>;
  /** By `serviceKey`. */
  readonly services: Readonly<Record<string, LedgerMemory>>;
}

const ledgers = z.record(
  z.string(),
  z.object({
    index: z.number().nullable(),
    identities: z.record(z.string(), z.number()),
    held: z.array(z.object({ name: z.string(), since: z.string(), why: z.string() })),
  }),
);

const schema = z.object({ folders: ledgers, services: ledgers });

/** What `ConsulSources.memory` gave; nothing for anything else. */
export function readMemory(value: unknown): SourcesMemory {
  const read = schema.safeParse(value);
  return read.success ? read.data : { folders: {}, services: {} };
}
