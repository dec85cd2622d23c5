/**
 * Warns about entries that were accepted and may not do what their writer expects: fields without effect, and
 * names of upstreams that nothing has. Looks at what is served; refuses nothing.
 */

import type { Served, Tables } from "../model/index.ts";
import type { Log } from "../observability/logger.ts";
import type { Clock } from "./clock.ts";
import { type Finding, findWithoutEffect } from "./without-effect.ts";

/** Its key is one in Consul, or the name of a setting as it was given. */
export interface Warning extends Finding {
  /** ISO 8601. */
  readonly since: string;
}

export interface WarningsOptions {
  /** What is served. */
  readonly tables: () => Tables;
  /** Of all keys in Consul, with a slash at the end. */
  readonly prefix: string;
  /** Those that are not about documents; they hold as long as the gateway runs. */
  readonly settings: readonly Finding[];
  /** What was removed from entries before they were served. */
  readonly leftOut: () => readonly Finding[];
  readonly clock: Pick<Clock, "now" | "after">;
  readonly log: Log;
}

/** Services come and go many times a second; whoever reads warnings does not. */
const delayMs = 1_000;
/** Lines of the log for what one look finds; one upstream that goes may be named by thousands of hosts. */
const mostLines = 50;

export class Warnings {
  readonly #options: WarningsOptions;
  /** By key and text. */
  #known = new Map<string, Warning>();
  #cancel: (() => void) | null = null;

  constructor(options: WarningsOptions) {
    this.#options = options;
  }

  /** The state has changed. */
  changed(changes: readonly Served[]): void {
    if (this.#cancel !== null || changes.length === 0) return;
    this.#cancel = this.#options.clock.after(delayMs, () => this.update());
  }

  /** Looks now. Before all that Consul has is there, names would be missed that are about to come. */
  update(): void {
    this.#cancel?.();
    this.#cancel = null;
    const { tables, prefix, settings, leftOut, clock, log } = this.#options;
    const before = this.#known;
    const now = new Map<string, Warning>();
    for (const { key, warning } of [
      ...settings,
      ...leftOut(),
      ...findWithoutEffect(tables(), prefix),
    ]) {
      const id = `${key} ${warning}`;
      now.set(id, before.get(id) ?? { key, warning, since: new Date(clock.now()).toISOString() });
    }
    this.#known = now;
    const come = [...now].filter(([id]) => !before.has(id));
    const gone = [...before].filter(([id]) => !now.has(id));
    for (const [, { key, warning }] of come.slice(0, mostLines)) {
      log.warn({ key }, `${key}: ${warning}`);
    }
    if (come.length > mostLines)
      log.warn({}, `${come.length - mostLines} more warnings in /status`);
    for (const [, { key, warning }] of gone.slice(0, mostLines)) {
      log.info({ key }, `${key}: no longer: ${warning}`);
    }
    if (gone.length > mostLines) log.info({}, `${gone.length - mostLines} more warnings are gone`);
  }

  list(): readonly Warning[] {
    // When somebody asks, changes that still wait to be looked at are looked at first.
    if (this.#cancel !== null) this.update();
    return [...this.#known.values()];
  }

  close(): void {
    this.#cancel?.();
    this.#cancel = null;
  }
}
