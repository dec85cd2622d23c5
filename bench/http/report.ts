/** Medians and ratios of a benchmark's rounds, as a Markdown table. */
import { cpus, totalmem, type } from "node:os";
import type { Run } from "./load.ts";

export interface Result {
  readonly name: string;
  readonly runs: readonly Run[];
  /** After the last round, with all processes of the contender. */
  readonly residentMegabytes: number;
}

/** The middle value; of an even number the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)];
  const lower = sorted[Math.ceil(middle) - 1];
  if (upper === undefined || lower === undefined) throw new Error("no values");
  return (lower + upper) / 2;
}

/**
 * One row for each contender. Its ratios, to those of `to` that were measured, are medians of the rounds' own:
 * neighbours in time are compared, so that what the machine does otherwise cancels out.
 */
export function table(results: readonly Result[], to: readonly string[]): string {
  const bases = results.filter(({ name }) => to.includes(name));
  const heads = ["", "requests/s", "lowest to highest", "MB/s", "p50 ms", "p99 ms", "failed"];
  heads.push("memory MB");
  const rows = results.map((result) => {
    const { runs } = result;
    const all = runs.map((run) => run.requestsPerSecond);
    return [
      result.name,
      grouped(median(all)),
      `${grouped(Math.min(...all))} to ${grouped(Math.max(...all))}`,
      median(runs.map((run) => run.megabytesPerSecond)).toFixed(1),
      median(runs.map((run) => run.p50Ms)).toFixed(2),
      median(runs.map((run) => run.p99Ms)).toFixed(2),
      grouped(runs.reduce((sum, run) => sum + run.failures, 0)),
      result.residentMegabytes.toFixed(0),
      ...bases.map((base) => median(ratios(runs, base.runs)).toFixed(2)),
    ];
  });
  const header = [...heads, ...bases.map((base) => `of ${base.name}`)];
  const rule = header.map((_, index) => (index === 0 ? "---" : "---:"));
  return [header, rule, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function ratios(runs: readonly Run[], base: readonly Run[]): readonly number[] {
  return runs.map((run, at) => run.requestsPerSecond / (base[at] ?? run).requestsPerSecond);
}

/** The machine, as one would tell it to somebody. */
export function machine(): string {
  const cores = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  const model = cores[0]?.model.trim().replaceAll(/\s+/g, " ") ?? "unknown";
  return `${cores.length} cores (${model}), ${memory} GB, ${type()}, Node ${process.versions.node}`;
}

function grouped(value: number): string {
  return Math.round(value).toLocaleString("en-GB");
}
