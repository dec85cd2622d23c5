/**
 * Hosts whose script was not examined yet when the gateway opened. They must not be served without their rule,
 * so workers get a script for them that answers 503 until the real one is examined. No other host waits for
 * that.
 */
import type { Served, Snapshot, Source, Tables } from "../../model/index.ts";

export class Unexamined {
  readonly #tables: Pick<Tables, "script" | "trial" | "closed">;
  readonly #isLookedUp: (host: string) => boolean | undefined;
  /** What Consul has, until the gateway opens. */
  readonly #sources = new Map<string, Source>();
  /** Hosts of which Consul has what nobody has examined yet. */
  readonly #awaited = new Set<string>();
  #isOpen = false;
  /** Those that workers answer 503 for. */
  readonly #hosts = new Set<string>();

  /**
   * @param tables what the workers have, or will have with the next version.
   * @param isLookedUp whether what serves a host may depend on something that is still on its way.
   */
  constructor(
    tables: Pick<Tables, "script" | "trial" | "closed">,
    isLookedUp: (host: string) => boolean | undefined,
  ) {
    this.#tables = tables;
    this.#isLookedUp = isLookedUp;
  }

  awaits(host: string, source: Source): void {
    this.#awaited.add(host);
    if (!this.#isOpen) this.#sources.set(host, source);
  }

  /** Consul has no script for it any more. */
  gone(host: string): void {
    this.#awaited.delete(host);
    this.#sources.delete(host);
  }

  examined(host: string): void {
    this.#awaited.delete(host);
  }

  /** The gateway opens. Returns what stands in for the scripts of the hosts that cannot be served yet. */
  begin(): readonly Served[] {
    const { script, trial, closed } = this.#tables;
    const changes: Served[] = [];
    for (const [host, { version, modifyIndex }] of this.#sources) {
      if (!this.#isPending(host)) continue;
      if (script.has(host) || trial.has(host) || closed.has(host)) continue;
      const value: Source = { text: "", version, modifyIndex, isUnexamined: true };
      changes.push({ kind: "script", key: host, value });
    }
    this.#isOpen = true;
    this.#sources.clear();
    return changes;
  }

  /** These go to the workers. */
  passed(changes: readonly Served[]): void {
    for (const { kind, key, value } of changes) {
      if (kind !== "script") continue;
      if (value?.isUnexamined) this.#hosts.add(key);
      else this.#hosts.delete(key);
    }
  }

  /**
   * Something is now known about a host. When everything is, and it has no script after all, it is served
   * without one.
   */
  found(host: string): readonly Served[] {
    if (!this.#hosts.has(host) || this.#isPending(host)) return [];
    return [{ kind: "script", key: host, value: null }];
  }

  /** Whether it is still unknown what serves a host. */
  #isPending(host: string): boolean {
    return this.#awaited.has(host) || this.#isLookedUp(host) === true;
  }
}

/** What the data directory may keep: a script that was not examined was never known to be good. */
export function withoutUnexamined(snapshot: Snapshot): Snapshot {
  const changes = snapshot.changes.filter(
    (change) => change.kind !== "script" || change.value?.isUnexamined !== true,
  );
  return { ...snapshot, changes };
}
