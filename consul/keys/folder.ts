/**
 * One folder of keys (`hosts/`, `scripts/`, ...): turns the answers of its watch into changes of the desired
 * state. Parses only what changed; keeps the last good value of a broken key.
 */
import {
  DocumentError,
  type FindForeign,
  type Parser,
  parseEntryName,
  parsers,
  parseSource,
} from "../../gateway/documents/index.ts";
import {
  type DocumentKind,
  type Entries,
  isVersioned,
  type Observed,
  type SiteNames,
  type Source,
} from "../../gateway/model/index.ts";
import { type Clock, timeText } from "../watching/clock.ts";
import {
  findSuspicion,
  type Hold,
  Ledger,
  type LedgerMemory,
  type Shown,
} from "../watching/ledger.ts";
import type { Log } from "../watching/log.ts";
import type { WatchEvent } from "../watching/watch.ts";
import type { KvItem } from "./kv.ts";

/** A key whose present value cannot be used; its last good one, if any, stays. */
export interface RefusedKey {
  readonly key: string;
  /** One line that names the key and what is wrong. */
  readonly error: string;
  /** ISO 8601. */
  readonly since: string;
  readonly modifyIndex: number;
}

export interface FolderOptions<K extends DocumentKind> {
  readonly kind: K;
  /** With Sluice's prefix and a slash at the end: `sluice/hosts/`. */
  readonly prefix: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Which host is which site; the same from the first answer on. */
  readonly sites: () => SiteNames;
  /** Finds what a document names and its tenant may not use. Default: nothing. */
  readonly foreignIn?: FindForeign | undefined;
  /** The last known good values. */
  readonly previous?: ReadonlyMap<string, Entries[K]> | undefined;
  /** What the previous process knew about them besides. */
  readonly memory?: LedgerMemory | null | undefined;
}

export class Folder<K extends DocumentKind> {
  readonly #options: FolderOptions<K>;
  readonly #parse: Parser<Entries[K]>;
  readonly #ledger: Ledger;
  /** The last good value by name. */
  readonly #values: Map<string, Entries[K]>;
  readonly #refused = new Map<string, RefusedKey>();
  #answers = 0;
  #wasFiltered = false;

  constructor(options: FolderOptions<K>) {
    this.#options = options;
    this.#parse = parsers[options.kind];
    this.#values = new Map(options.previous ?? []);
    this.#ledger = new Ledger(options.clock, this.#values.keys(), options.memory);
  }

  /** The good values by name, those held included. */
  get values(): ReadonlyMap<string, Entries[K]> {
    return this.#values;
  }

  /** Takes an answer of the folder's watch; returns what changes by it. */
  apply(event: WatchEvent<readonly KvItem[]>): Observed[] {
    const items = this.#nameItems(event.value);
    const present = new Map<string, Shown>();
    for (const [name, { key, modifyIndex, createIndex }] of items)
      present.set(name, { fingerprint: `${modifyIndex} ${key}`, identity: createIndex });
    const suspicion = findSuspicion({
      event,
      first: this.#answers === 0,
      wasFiltered: this.#wasFiltered,
      shown: this.#ledger.shown,
      survivors: this.#ledger.survivors(present),
    });
    this.#answers += 1;
    this.#wasFiltered = event.filtered;
    const { changed, gone } = this.#ledger.apply(event.index, present, suspicion);
    const changes: Observed[] = [];
    for (const name of changed) {
      const item = items.get(name);
      if (item !== undefined) this.#take(name, item, changes);
    }
    for (const name of gone) this.#remove(name, changes);
    return changes;
  }

  refused(): readonly RefusedKey[] {
    return [...this.#refused.values()];
  }

  memory(): LedgerMemory {
    return this.#ledger.memory();
  }

  /** Names whose good value is held. */
  held(): readonly Hold[] {
    return this.#ledger.held().filter(({ name }) => this.#values.has(name));
  }

  /** Ends the holds; returns the changes that remove the held entries. */
  release(): Observed[] {
    const changes: Observed[] = [];
    for (const name of this.#ledger.release()) this.#remove(name, changes);
    return changes;
  }

  #take(name: string, item: KvItem, changes: Observed[]): void {
    try {
      const text = decodeText(item);
      const { kind, foreignIn } = this.#options;
      const value = this.#parse(item.key, text, item.modifyIndex);
      const foreign = foreignIn?.(kind, name, value) ?? null;
      if (foreign !== null) throw new DocumentError("foreign", item.key, foreign);
      this.#values.set(name, value);
      this.#refused.delete(item.key);
      const source = isVersioned(kind) ? parseSource(item.key, text, item.modifyIndex) : undefined;
      changes.push(this.#change(name, value, source));
    } catch (error) {
      if (!(error instanceof DocumentError)) throw error;
      this.#refuse(item, error);
    }
  }

  #remove(name: string, changes: Observed[]): void {
    if (this.#values.delete(name)) changes.push(this.#change(name, null));
  }

  #change(key: string, value: Entries[K] | null, source?: Source): Observed {
    const { kind } = this.#options;
    // The value is of the folder's kind; the compiler does not pair them for a kind that it does not know.
    return { kind, key, value, ...(source === undefined ? {} : { source }) } as Observed;
  }

  /**
   * The items by the name that they carry. Where several keys spell the same site, the one that is spelt
   * as the site is wins, else the first in the order of keys; what cannot be named is refused by its key.
   */
  #nameItems(items: readonly KvItem[]): ReadonlyMap<string, KvItem> {
    const { kind, prefix } = this.#options;
    const sites = this.#options.sites();
    const keys = new Set(items.map((item) => item.key));
    for (const key of this.#refused.keys()) if (!keys.has(key)) this.#refused.delete(key);
    const named = new Map<string, KvItem>();
    for (const item of items) {
      try {
        const name = parseEntryName(kind, item.key, item.key.slice(prefix.length), sites);
        const canonical = `${prefix}${name}`;
        const winner = keys.has(canonical) ? canonical : (named.get(name)?.key ?? item.key);
        if (winner !== item.key)
          throw new DocumentError("bad_key", item.key, `names the same as ${winner}, which holds`);
        named.set(name, item);
      } catch (error) {
        if (!(error instanceof DocumentError)) throw error;
        this.#refuse(item, error);
      }
    }
    return named;
  }

  /** One line in the log for each new bad value. */
  #refuse(item: KvItem, error: DocumentError): void {
    const { key, modifyIndex } = item;
    const before = this.#refused.get(key);
    if (before?.modifyIndex === modifyIndex && before.error === error.message) return;
    this.#refused.set(key, {
      key,
      error: error.message,
      since: before?.since ?? timeText(this.#options.clock.now()),
      modifyIndex,
    });
    this.#options.log.warn({ key, modifyIndex, code: error.code }, error.message);
  }
}

/** A byte order mark is dropped, as editors put it there. */
function decodeText(item: KvItem): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(
      Buffer.from(item.encoded ?? "", "base64"),
    );
  } catch {
    throw new DocumentError("bad_json", item.key, "is not UTF-8");
  }
}
