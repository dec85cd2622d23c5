/**
 * The history of a subject, such as `history/scripts/<host>`: its last 20 versions, who or what brought each, when, and how
 * it ended. Pure; the texts of the versions are keys of their own.
 */
import * as z from "zod";
import { checkDocument, DocumentError, parseJson } from "../../documents/index.ts";
import type { Agreement } from "../../model/index.ts";
import { isOut } from "../agreement/steps.ts";

const outcomes = [
  /** Written; no gateway has said anything of it yet. */
  "pushed",
  "refused",
  /** It has a share of the requests. */
  "rollout",
  "live",
  "replaced",
  "taken back",
  /** It stalled a worker and there was nothing to take it back to. */
  "out of service",
  "removed",
] as const;
export type Outcome = (typeof outcomes)[number];

export interface HistoryEntry {
  readonly version: string;
  /** ISO 8601: when it came. */
  readonly at: string;
  /** Who or what brought it. */
  readonly by: string;
  readonly outcome: Outcome;
  /** ISO 8601: when the outcome became what it is. */
  readonly since: string;
  /** The reason of the outcome, where it is not plain. */
  readonly detail: string | null;
}

/** The latest first. */
export type History = readonly HistoryEntry[];

/** Entries kept. */
const maxHistory = 20;
const maxDetail = 1_000;
const maxBy = 200;
/** The author of versions that nobody pushed. */
const byHand = "Consul KV";

/** Control characters, and those that change the direction of a text, are no part of a name. */
const invisible = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu;

const failed: ReadonlySet<Outcome> = new Set(["taken back", "out of service"]);
const ended: ReadonlySet<Outcome> = new Set(["refused", "replaced", "removed", ...failed]);

const historySchema = z.object({ versions: z.array(z.unknown()) });
const entrySchema = z.object({
  version: z.string().regex(/^[0-9a-f]{64}$/),
  at: z.iso.datetime(),
  by: z.string().max(maxBy),
  outcome: z.enum(outcomes),
  since: z.iso.datetime(),
  detail: z.string().max(maxDetail).nullable(),
});

/**
 * The part of a history that can be read; `fault`: what cannot, in one line that names the key, or `null`. A
 * history is a record and no agreement, so a broken one stops nothing: the next change writes it without the
 * broken part.
 * @param text `null`: there is no such key.
 */
export function readHistory(
  key: string,
  text: string | null,
): { readonly history: History; readonly fault: string | null } {
  if (text === null) return { history: [], fault: null };
  const entries: HistoryEntry[] = [];
  let fault: string | null = null;
  try {
    const { versions } = checkDocument(key, parseJson(key, text), historySchema);
    for (const [index, version] of versions.slice(0, maxHistory).entries()) {
      const entry = entrySchema.safeParse(version);
      if (entry.success) entries.push(entry.data);
      else fault ??= `${key}: versions[${index}] is no entry of a history`;
    }
    if (versions.length > maxHistory) fault ??= `${key}: has more than ${maxHistory} versions`;
  } catch (error) {
    if (!(error instanceof DocumentError)) throw error;
    fault = error.message;
  }
  return { history: entries, fault };
}

export function formatHistory(history: History): string {
  return JSON.stringify({ versions: history });
}

export interface Note {
  readonly version: string;
  readonly outcome: Outcome;
  readonly at: number;
  /** Only used when the version is not there yet. Default: somebody who wrote the key. */
  readonly by?: string;
  readonly detail?: string;
}

/**
 * The history with a version's outcome in its open entry, or in a new one. The same object when the outcome is
 * known.
 */
export function noted(history: History, note: Note): History {
  const { version, outcome } = note;
  const by = cut((note.by ?? byHand).replaceAll(invisible, " "), maxBy);
  const since = new Date(note.at).toISOString();
  const detail = note.detail === undefined ? null : cut(note.detail, maxDetail);
  const latest = history[0];
  // Every gateway that refuses a version says so; the first one is kept.
  if (latest?.version === version && latest.outcome === outcome) return history;
  const open = history.findIndex((one) => one.version === version && !ended.has(one.outcome));
  const known = history[open];
  // Somebody pushes the live version again, for example to end the rollout of another.
  const isPutBack = outcome === "pushed" && open > 0;
  if (known === undefined || isPutBack) {
    if (outcome === "replaced" || outcome === "removed") return history;
    return [{ version, at: since, by, outcome, since, detail }, ...history].slice(0, maxHistory);
  }
  if (known.outcome === outcome) return history;
  return history.map((one, index) => {
    if (index === open) return { ...known, outcome, since, detail };
    const isOlder = index > open && one.version === version && !ended.has(one.outcome);
    return isOlder ? { ...one, outcome: "replaced", since } : one;
  });
}

/** What a gateway saw of a subject without an agreement. */
export interface Sighting extends Omit<Note, "outcome" | "by"> {
  readonly outcome: "refused" | "live" | "removed";
  /** The version that was live until then; `null`: none was. */
  readonly before: string | null;
}

/**
 * The history after a gateway saw that. Versions may follow each other faster than gateways write, so that the history has
 * not heard of the one before, or only that it was pushed.
 */
export function sighted(history: History, { before, ...note }: Sighting): History {
  const { version, outcome, at } = note;
  const next = noted(before === null ? history : wasLive(history, before, at), note);
  if (outcome === "refused") return next;
  // A newer version may have come after a removal.
  const first = outcome === "live" ? 0 : next.findIndex((one) => one.version === version) + 1;
  const isOther = (one: HistoryEntry, index: number) =>
    index >= first && one.outcome === "live" && one.version !== version;
  if (!next.some(isOther)) return next;
  const since = new Date(at).toISOString();
  return next.map((one, index) =>
    isOther(one, index) ? { ...one, outcome: "replaced", since } : one,
  );
}

function wasLive(history: History, version: string, at: number): History {
  const isUnheard = (one: HistoryEntry) => one.version === version && one.outcome === "pushed";
  if (history.some(isUnheard)) return noted(history, { version, outcome: "live", at });
  return withEarlier(history, version, at);
}

/** The history with a version that was live before the history began; nobody knows since when. */
export function withEarlier(history: History, version: string, at: number): History {
  if (history.some((one) => one.version === version)) return history;
  return noted(history, { version, outcome: "live", at, detail: "it was there before" });
}

/** The history after the gateways went from one agreement to the next; `by`: the gateway that wrote it. */
export function recorded(
  history: History,
  before: Agreement | null,
  after: Agreement,
  at: number,
  by: string,
): History {
  let entries = history;
  const note = (version: string, outcome: Outcome, more: Partial<Note> = {}) => {
    entries = noted(entries, { version, outcome, at, ...more });
  };
  const taken = after.takenBack.filter(
    ({ version }) => !(before?.takenBack.some((one) => one.version === version) ?? false),
  );
  for (const { version, reason } of taken) {
    const outcome = version === after.live ? "out of service" : "taken back";
    note(version, outcome, { detail: reason });
  }
  const isStill = (version: string) => version === after.live || version === after.next?.version;
  for (const version of [before?.live, before?.next?.version]) {
    if (version === undefined || version === null || isStill(version)) continue;
    if (taken.some((one) => one.version === version)) continue;
    note(version, after.live === null && after.next === null ? "removed" : "replaced");
  }
  // It served and was replaced before Consul had the agreement on it.
  if (after.before !== null && after.before !== before?.before && after.before !== before?.live)
    for (const outcome of ["live", "replaced"] as const) note(after.before, outcome);
  if (after.live !== null && after.live !== before?.live) {
    const isBack = taken.length > 0 && after.live === before?.before;
    note(after.live, "live", isBack ? { by, detail: `after ${taken[0]?.version}` } : {});
  }
  const wasOut = before?.takenBack.some(({ version }) => version === after.live) ?? false;
  if (after.live !== null && after.live === before?.live && wasOut && !isOut(after)) {
    note(after.live, "live", { by, detail: "a module that it imports was changed" });
  }
  const { next } = after;
  const hasEnded = before !== null && before.next !== null && next === null;
  if (hasEnded && after.live !== null && after.live === before.live) note(after.live, "live");
  if (next !== null && next.version !== before?.next?.version) note(next.version, "rollout");
  return entries;
}

/** The version to go back to: the latest other one that was once live and did not fail. */
export function lastGood(history: History, current: string | null): string | null {
  const bad = new Set(
    history.filter(({ outcome }) => failed.has(outcome)).map(({ version }) => version),
  );
  const good = history.find(
    ({ version, outcome }) =>
      version !== current &&
      !bad.has(version) &&
      (outcome === "live" || outcome === "replaced" || outcome === "removed"),
  );
  return good?.version ?? null;
}

/** No half of a character is left at the end. */
function cut(text: string, length: number): string {
  return text.slice(0, length).replace(/[\ud800-\udbff]$/, "");
}
