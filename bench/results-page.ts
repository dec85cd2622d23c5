/** Where a benchmark writes what it found: a page of its own for each day, in `bench/results/`. */
import { appendFileSync, mkdirSync } from "node:fs";
import { basename, join } from "node:path";

const folder = join(import.meta.dirname, "results");
/** The day on which it began: what runs past midnight stays on one page. */
const day = new Date().toISOString().slice(0, 10);

/** The page of the day of the benchmark that runs. */
export function resultsPage(): string {
  return join(folder, `${basename(process.argv[1] ?? "", ".ts")}-${day}.md`);
}

/** Adds a section to that page, which is made when it is not there. */
export function appendResult(section: string): void {
  mkdirSync(folder, { recursive: true });
  appendFileSync(resultsPage(), section);
}
