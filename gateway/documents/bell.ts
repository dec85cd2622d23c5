/**
 * A bell, `history/bells/<name>`: whose agreements its one writer changed last. It is written in the transaction of the
 * change, so that gateways which watch the folder `live/` read the hosts that it names, and not the whole folder. A bell is a
 * hint: whatever it says, what holds is in `live/`.
 */
import * as z from "zod";
import { checkDocument, parseJson } from "./document.ts";
import { DocumentError } from "./document-error.ts";
import { parseHostName } from "./entry-name.ts";

/** Below the prefix. It is kept beside the histories: who may write those may ring. */
export const bellFolder = "history/bells/";

/** Hosts that a bell remembers. */
const maxHosts = 32;

export interface Bell {
  /** Changes since the bell is there; each has its number, and the last one has this. */
  readonly count: number;
  /** Of the last changes, the latest first. */
  readonly hosts: readonly string[];
  /** Milliseconds since the epoch: when it rang last. */
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

/** `null` where there is none, or none that can be read: it is a hint, and the next change rings it anew. */
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

/** The bell after one more change. `null`: there was none yet. */
export function ringBell(bell: Bell | null, host: string, at: number): Bell {
  const hosts = [host, ...(bell?.hosts ?? [])].slice(0, maxHosts);
  return { count: (bell?.count ?? 0) + 1, hosts, at };
}

/** The hosts of the changes after number `count`; `null` when the bell does not remember all of them. */
export function hostsSince(bell: Bell, count: number): readonly string[] | null {
  const news = bell.count - count;
  return news < 0 || news > bell.hosts.length ? null : bell.hosts.slice(0, news);
}
