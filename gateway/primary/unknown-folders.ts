/**
 * Finds folders and keys below the prefix that no gateway reads, such as `hostss/`: what an operator writes
 * there has no effect, and no watch shows it. Looks now and then; reads no values.
 */
import { documentKinds, kinds } from "../model/index.ts";
import type { Clock } from "./clock.ts";
import type { Finding } from "./without-effect.ts";

export interface UnknownFoldersOptions {
  /** Of all keys in Consul, with a slash at the end. */
  readonly prefix: string;
  /** The names that are directly below the prefix, folders with a slash at their end. */
  readonly list: () => Promise<readonly string[]>;
  readonly clock: Pick<Clock, "after">;
  /** `warnings` is another list than before. */
  readonly onChange: () => void;
}

const intervalMs = 30_000;
/** Warnings that are shown; somebody else's data may lie below the same prefix. */
const mostShown = 20;
/** What gateways keep, beside what operators write. */
const own = ["history/", "versions/", "gateways/", "keys/"];
const read = documentKinds.map((kind) => {
  const { folder } = kinds[kind];
  return folder.slice(0, folder.indexOf("/") + 1);
});
const known: ReadonlySet<string> = new Set([...read, ...own].sort());

export class UnknownFolders {
  readonly #options: UnknownFoldersOptions;
  #found: readonly string[] = [];
  #cancel: (() => void) | null = null;
  #isStopped = false;

  constructor(options: UnknownFoldersOptions) {
    this.#options = options;
  }

  start(): void {
    void this.#look();
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
  }

  warnings(): readonly Finding[] {
    const { prefix } = this.#options;
    return this.#found.map((name) => ({
      key: prefix + name,
      warning: name.endsWith("/")
        ? `no gateway reads this folder; there are ${[...known].join(", ")}`
        : "no gateway reads this key; it is in none of the folders",
    }));
  }

  async #look(): Promise<void> {
    const { prefix, list, clock, onChange } = this.#options;
    try {
      const names = (await list()).map((key) => key.slice(prefix.length));
      const found = names.filter((name) => name !== "" && !known.has(name)).slice(0, mostShown);
      if (!this.#isStopped && found.join("\n") !== this.#found.join("\n")) {
        this.#found = found;
        onChange();
      }
    } catch {
      // The watches report what is wrong with Consul; the earlier findings stand.
    }
    if (!this.#isStopped) this.#cancel = clock.after(intervalMs, () => void this.#look());
  }
}
