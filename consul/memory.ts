/**
 * What the sources know beside what is served: which entries were shown as which, and what is held. Without it, a gateway
 * that starts again after Consul has lost its data would take the little that is back for all that there is.
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
