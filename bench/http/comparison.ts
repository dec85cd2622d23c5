/**
 * Contenders that take turns, row by row: the rate of each, and its processor time for each request, which other work
 * on the machine changes less. The ratios are of that time.
 */
import { cpuSeconds, workersOf } from "./processes.ts";
import { median } from "./report.ts";
import type { Results } from "./results.ts";

export interface Contending {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
}

/** What one run of a load says. */
export interface Ran {
  readonly perSecond: number;
  /** How many requests or handshakes there were. */
  readonly count: number;
}

export type Measure = (at: Contending) => Promise<Ran>;

export class Comparison {
  readonly #results: Results;
  readonly #rounds: number;
  readonly #others: readonly string[];

  /** @param others the names of those whose time is given as a ratio. */
  constructor(results: Results, rounds: number, others: readonly string[]) {
    this.#results = results;
    this.#rounds = rounds;
    this.#others = others;
  }

  head(unit = "a second"): void {
    const of = this.#others.map((name) => `of ${name}`);
    const cells = ["", "", unit, "µs of processor", ...of];
    this.#results.say(`| ${cells.join(" | ")} |`);
    this.#results.say(`| --- | --- |${" ---: |".repeat(cells.length - 2)}`);
  }

  /** One run each that does not count, then the rounds. */
  async row(what: string, contending: readonly Contending[], measure: Measure): Promise<void> {
    const rates = contending.map((): number[] => []);
    const costs = contending.map((): number[] => []);
    const measureOne = (at: Contending) =>
      measure(at).catch((error: unknown) => {
        throw new Error(`${what}, ${at.name}`, { cause: error });
      });
    for (const at of contending) await measureOne(at);
    for (let round = 0; round < this.#rounds; round += 1) {
      for (const [index, at] of contending.entries()) {
        const before = processorSeconds(at.pid);
        const { perSecond, count } = await measureOne(at);
        const spent = processorSeconds(at.pid) - before;
        rates[index]?.push(perSecond);
        costs[index]?.push((spent / count) * 1e6);
      }
    }
    const cost = new Map(contending.map(({ name }, at) => [name, median(costs[at] ?? [])]));
    for (const [at, { name }] of contending.entries()) {
      const own = cost.get(name) ?? 0;
      const ratios = this.#others.map((other) => {
        const theirs = cost.get(other);
        return theirs === undefined ? "" : (theirs / own).toFixed(2);
      });
      const rate = Math.round(median(rates[at] ?? []));
      this.#results.say(`| ${[what, name, rate, own.toFixed(1), ...ratios].join(" | ")} |`);
    }
  }
}

function processorSeconds(pid: number): number {
  return workersOf(pid).reduce((sum, child) => sum + cpuSeconds(child), cpuSeconds(pid));
}
