/**
 * Logs whose connections were refused because of their PROXY header, or for want of one: at most one record a minute
 * for each of these reasons, since anybody can open such connections as often as they like.
 */
import type { EngineStats } from "../engine/engine.ts";
import {
  badProxyHeader,
  missingProxyHeader,
  unexpectedProxyHeader,
} from "../engine/message/grammar.ts";
import type { Log } from "../observability/logger.ts";

const quietMs = 60_000;

export class ProxyHeaderLog {
  readonly #log: Log;
  readonly #now: () => number;
  readonly #told = new Map<string, { readonly count: number; readonly atMs: number }>();

  /** `now`: monotonic milliseconds. */
  constructor(log: Log, now: () => number) {
    this.#log = log;
    this.#now = now;
  }

  report({ refused, lastRefused }: Pick<EngineStats, "refused" | "lastRefused">): void {
    for (const { code, message } of [unexpectedProxyHeader, missingProxyHeader, badProxyHeader]) {
      const count = refused[code] ?? 0;
      const told = this.#told.get(code) ?? { count: 0, atMs: Number.NEGATIVE_INFINITY };
      const nowMs = this.#now();
      if (count === told.count || nowMs - told.atMs < quietMs) continue;
      this.#log.warn({ code, sender: lastRefused[code], refused: count - told.count }, message);
      this.#told.set(code, { count, atMs: nowMs });
    }
  }
}
