/**
 * A bell, `history/bells/<name>`, names the hosts whose agreements its one writer changed last. The writer changes
 * the bell in the same transaction as the agreement, so gateways that watch it read the hosts that it names, and not
 * the whole folder `live/`. A bell is only a hint: what applies is in `live/`.
 */
import * as z from "zod";
import { checkDocument, parseJson } from "./document.ts";
import { DocumentError } from "./document-error.ts";
import { parseHostName } from "./entry-name.ts";

/** Below the prefix, beside the histories: whoever may write histories may ring. */
export const bellFolder = "history/bells/";

/** How many hosts a bell remembers. */
const maxHosts = 32;

export interface Bell {
  /** How many changes there were since the bell was made. Changes are numbered, and this is the last number. */
  readonly count: number;
  /** The hosts of the last changes, the latest first. */
  readonly hosts: readonly string[];
  /** When it last rang, in milliseconds since the epoch. */
  readonly at: number;
}

const bellSchema = z.strictObject({
  count: z.int().min(1),
  hosts: z
    .array(z.string().refine((host) => parseHostName(host) === host))
    .min(1)
    .max(maxHosts),
  at: z.iso.datetime().transform((text) => Date.parse(text)),
});

/**
 * Returns `null` when there is no bell, or none that can be read: it is only a hint, and the next change writes it
 * anew.
 */
export function readBell(key: string, text: string | null): Bell | null {
  if (text === null) return null;
  try {
    return checkDocument(key, parseJson(key, text), bellSchema);
  } catch (error) {
    if (error instanceof DocumentError) return null;
    throw error;
  }
}

export function formatBell({ at, ...bell }: Bell): string {
  return JSON.stringify({ ...bell, at: new Date(at).toISOString() });
}

/** The bell after one more change. `null` when there was none before. */
export function ringBell(bell: Bell | null, host: string, at: number): Bell {
  const hosts = [host, ...(bell?.hosts ?? [])].slice(0, maxHosts);
  return { count: (bell?.count ?? 0) + 1, hosts, at };
}

/** The hosts of the changes after number `count`; `null` when the bell does not remember all of them. */
export function hostsSince(bell: Bell, count: number): readonly string[] | null {
  const news = bell.count - count;
  return news < 0 || news > bell.hosts.length ? null : bell.hosts.slice(0, news);
}
