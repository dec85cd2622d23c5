/**
 * How long calls of scripts usually take, as workers report it. Workers that have not called a script yet need
 * this: they take an unknown script for a newcomer, which has to wait when newcomers stalled.
 */
import type { ScriptCost, ScriptReport } from "../model/index.ts";

/** Versions that are remembered; beyond, the one that was told longest ago goes. */
const most = 10_000;
/** Workers are not told again of a change below this factor, nor of differences between quick calls. */
const noticed = 2;
const leastMs = 0.1;

export class ScriptCosts {
  /** By version and host, the one that was told last at the end. */
  readonly #costs = new Map<string, ScriptCost>();

  /** Returns what the workers are to be told. */
  take(reports: readonly ScriptReport[]): readonly ScriptCost[] {
    const news: ScriptCost[] = [];
    for (const { host, version, usualMs } of reports) {
      if (usualMs === undefined) continue;
      const key = `${version} ${host}`;
      const before = this.#costs.get(key);
      if (before !== undefined && isSimilar(before.usualMs, usualMs)) continue;
      const cost = { host, version, usualMs };
      this.#costs.delete(key);
      this.#costs.set(key, cost);
      news.push(cost);
    }
    for (const key of this.#costs.keys()) {
      if (this.#costs.size <= most) break;
      this.#costs.delete(key);
    }
    return news;
  }

  all(): readonly ScriptCost[] {
    return [...this.#costs.values()];
  }
}

function isSimilar(oneMs: number, otherMs: number): boolean {
  const [one, other] = [Math.max(leastMs, oneMs), Math.max(leastMs, otherMs)];
  return one <= noticed * other && other <= noticed * one;
}
