/**
 * Hosts whose script was not looked at yet when the gateway opened. Without their rule they must not be served, so
 * workers are told of a script that answers 503, until it is known what serves them. Everybody else is not kept waiting.
 */
import type { Served, Snapshot, Source, Tables } from "../../model/index.ts";

export interface UnexaminedOptions {
  /** What the workers have, or will have with the next version. */
  readonly tables: Pick<Tables, "script" | "trial" | "closed">;
  readonly pass: (changes: readonly Served[]) => void;
  /** What Consul has. */
  readonly wanted: () => ReadonlyMap<string, Source>;
  /** Whether it is still to be found out what serves a host. */
  readonly isOpen: (host: string) => boolean;
}

export class Unexamined {
  readonly #options: UnexaminedOptions;
  readonly #hosts = new Set<string>();

  constructor(options: UnexaminedOptions) {
    this.#options = options;
  }

  /** The gateway opens. Returns how many hosts cannot be served yet. */
  begin(): number {
    const { tables, wanted, isOpen, pass } = this.#options;
    const { script, trial, closed } = tables;
    const changes: Served[] = [];
    for (const [host, { version, modifyIndex }] of wanted()) {
      if (!isOpen(host) || script.has(host) || trial.has(host) || closed.has(host)) continue;
      const value: Source = { text: "", version, modifyIndex, isUnexamined: true };
      changes.push({ kind: "script", key: host, value });
    }
    if (changes.length > 0) pass(changes);
    for (const { key } of changes) this.#hosts.add(key);
    return changes.length;
  }

  /** These go to the workers. */
  passed(changes: readonly Served[]): void {
    if (this.#hosts.size === 0) return;
    for (const { kind, key } of changes) if (kind === "script") this.#hosts.delete(key);
  }

  /** Something was found out of a host. When all is, and it has no script after all, it is served without. */
  found(host: string): void {
    if (!this.#hosts.has(host) || this.#options.isOpen(host)) return;
    this.#options.pass([{ kind: "script", key: host, value: null }]);
  }
}

/** What may be kept: a script that was not looked at is not what was known as good. */
export function withoutUnexamined(snapshot: Snapshot): Snapshot {
  const changes = snapshot.changes.filter(
    (change) => change.kind !== "script" || change.value?.isUnexamined !== true,
  );
  return { ...snapshot, changes };
}
