/** The folders of keys together: one for each kind of document, and which services their documents name. */
import type { FindForeign } from "../../gateway/documents/index.ts";
import {
  type DocumentKind,
  destinationsOf,
  documentKinds,
  type Entries,
  failoverKeys,
  kinds,
  type Observed,
  type SiteNames,
  type Tables,
} from "../../gateway/model/index.ts";
import type { Clock } from "../watching/clock.ts";
import type { Hold, LedgerMemory } from "../watching/ledger.ts";
import type { Log } from "../watching/log.ts";
import type { WatchEvent } from "../watching/watch.ts";
import { Folder, type RefusedKey } from "./folder.ts";
import type { KvItem } from "./kv.ts";

export interface FoldersOptions {
  /** Of all keys, with a slash at the end: `sluice/`. */
  readonly prefix: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Which host is which site; the same from the first answer on. */
  readonly sites: () => SiteNames;
  /** Finds what a document names and its tenant may not use. Default: nothing. */
  readonly foreignIn?: FindForeign | undefined;
  /** The last known good values. */
  readonly previous: Tables | null;
  /** What the previous process knew about them besides, by kind. */
  readonly memory: Readonly<Record<string, LedgerMemory>>;
}

type FolderOf = { readonly [K in DocumentKind]: Folder<K> };

export class Folders {
  readonly #options: FoldersOptions;
  readonly #folders: FolderOf;

  constructor(options: FoldersOptions) {
    this.#options = options;
    // Each is of the kind that it is kept under; the compiler does not follow the loop.
    this.#folders = Object.fromEntries(
      documentKinds.map((kind) => [kind, this.#folder(kind)]),
    ) as unknown as FolderOf;
  }

  /** Where the documents of a kind are: `sluice/hosts/`. */
  prefixOf(kind: DocumentKind): string {
    return `${this.#options.prefix}${kinds[kind].folder}`;
  }

  /** Takes an answer of a folder's watch; returns what changes by it. */
  apply(kind: DocumentKind, event: WatchEvent<readonly KvItem[]>): Observed[] {
    return this.#folders[kind].apply(event);
  }

  /** Whether there is no good value of any kind. */
  get isEmpty(): boolean {
    return Object.values(this.#folders).every(({ values }) => values.size === 0);
  }

  refused(): readonly RefusedKey[] {
    return Object.values(this.#folders).flatMap((folder) => folder.refused());
  }

  /** What is held, each with its kind. */
  held(): readonly (Hold & { readonly kind: DocumentKind })[] {
    return documentKinds.flatMap((kind) =>
      this.#folders[kind].held().map((hold) => ({ ...hold, kind })),
    );
  }

  /** Ends the holds; returns the changes that remove the held entries. */
  release(): Observed[] {
    return Object.values(this.#folders).flatMap((folder) => folder.release());
  }

  /** By kind, for the next process: JSON. */
  memory(): Readonly<Record<string, LedgerMemory>> {
    return Object.fromEntries(documentKinds.map((kind) => [kind, this.#folders[kind].memory()]));
  }

  /** The keys of the services that upstream documents and host documents name. */
  services(): ReadonlySet<string> {
    const { upstream, host } = this.#folders;
    const sites = this.#options.sites();
    const keys = new Set<string>();
    const add = (name: string) => {
      const service = sites.find(name);
      if (service !== null) keys.add(service.key);
    };
    for (const { service, failover = [] } of upstream.values.values()) {
      if (service === null) continue;
      add(service);
      const site = sites.find(service);
      if (site !== null)
        for (const key of failoverKeys(site, failover, sites.ownDatacenter)) keys.add(key);
    }
    for (const document of host.values.values())
      for (const [, { shares }] of destinationsOf(document))
        for (const { upstream: name } of shares) if (!upstream.values.has(name)) add(name);
    return keys;
  }

  #folder<K extends DocumentKind>(kind: K): Folder<K> {
    const { clock, log, sites, foreignIn, previous, memory } = this.#options;
    const saved: { readonly [Each in DocumentKind]?: ReadonlyMap<string, Entries[Each]> } | null =
      previous;
    return new Folder({
      kind,
      prefix: this.prefixOf(kind),
      ...{ clock, log, sites, foreignIn },
      // What is not served is not kept either.
      previous: saved?.[kind],
      memory: memory[kind],
    });
  }
}
