/**
 * `acme/hosts/<host>` in Consul KV: how the last order of a host went, and when the next one is due. Every gateway goes
 * by it. It is written before an order begins, so that neither a crash nor a lost lock leads to one order after another.
 */
import * as z from "zod";
import { checkDocument, DocumentError, parseJson } from "../../documents/index.ts";

export interface HostRecord {
  readonly directory: string;
  readonly state: "ordering" | "issued" | "failed";
  /** The gateway that ordered. */
  readonly by: string;
  /** Milliseconds since 1970. */
  readonly startedMs: number;
  readonly nextMs: number;
  /** In a row. */
  readonly failures: number;
  readonly error: string | null;
}

const schema = z.object({
  directory: z.string().max(2_000),
  state: z.enum(["ordering", "issued", "failed"]),
  by: z.string().max(300),
  started: z.iso.datetime(),
  next: z.iso.datetime(),
  failures: z.int().min(0).max(1_000_000),
  error: z.string().max(1_000).nullable(),
});

/** `null`: there is none, or none that can be read; it is written anew then. */
export function readHostRecord(key: string, text: string | null): HostRecord | null {
  if (text === null) return null;
  try {
    const { started, next, ...rest } = checkDocument(key, parseJson(key, text), schema);
    return { ...rest, startedMs: Date.parse(started), nextMs: Date.parse(next) };
  } catch (error) {
    if (error instanceof DocumentError) return null;
    throw error;
  }
}

export function formatHostRecord({ startedMs, nextMs, ...rest }: HostRecord): string {
  return JSON.stringify({ ...rest, started: dateOf(startedMs), next: dateOf(nextMs) });
}

function dateOf(ms: number): string {
  return new Date(ms).toISOString();
}
