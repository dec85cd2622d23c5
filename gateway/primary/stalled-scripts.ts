/**
 * Versions of scripts that stalled a worker: the next request would stall the next one. They are out of
 * service until the source changes, or a module that it imports. Decides that only; the state carries it.
 */
import type { Change, LastWords, OutOfService, Source, Tables } from "../state/index.ts";

export class StalledScripts {
  /** By host. */
  readonly #stalled = new Map<string, { readonly version: string; readonly out: OutOfService }>();

  /** @param before a state that is served already: what was out of service in it still is. */
  constructor(before: Tables) {
    for (const [host, { version, outOfService: out }] of before.script) {
      if (out !== undefined) this.#stalled.set(host, { version, out });
    }
  }

  /** A worker ended in a script: the changes that take it out of what is served, none if it is not there. */
  take({ host, version, out }: LastWords, tables: Tables): readonly Change[] {
    const live = tables.script.get(host);
    const trial = tables.trial.get(host);
    const changes: Change[] = [];
    if (live?.version === version) {
      changes.push({ kind: "script", key: host, value: { ...live, outOfService: out } });
    }
    if (trial?.source.version === version) {
      changes.push({ kind: "trial", key: host, value: null });
    }
    if (changes.length > 0) this.#stalled.set(host, { version, out });
    return changes;
  }

  /** The changes, with what is out of service marked as such; also puts back what a module may have mended. */
  screen(changes: readonly Change[], tables: Tables): readonly Change[] {
    if (this.#stalled.size === 0) return changes;
    const mended: Change[] = [];
    for (const change of changes) {
      if (change.kind !== "module") continue;
      for (const [host, { version }] of this.#stalled) {
        const source = tables.script.get(host);
        if (source?.version !== version || !source.text.includes(`modules/${change.key}`)) continue;
        this.#stalled.delete(host);
        const { outOfService: _, ...value } = source;
        mended.push({ kind: "script", key: host, value });
      }
    }
    return [...mended, ...changes.map((change) => this.#screened(change))];
  }

  #screened(change: Change): Change {
    if (change.kind !== "script" && change.kind !== "trial") return change;
    const stalled = this.#stalled.get(change.key);
    if (stalled === undefined) return change;
    if (change.kind === "trial") {
      return change.value?.source.version === stalled.version ? { ...change, value: null } : change;
    }
    if (change.value?.version === stalled.version) {
      const value: Source = { ...change.value, outOfService: stalled.out };
      return { ...change, value };
    }
    // A version that stalled on trial stays so while the one before it goes on.
    if (change.value === null) this.#stalled.delete(change.key);
    return change;
  }
}
