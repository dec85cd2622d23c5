/** Where a benchmark writes what it found: a page of its own for each day, in `bench/results/`. */
import { appendFileSync, mkdirSync } from "node:fs";
import { basename, join } from "node:path";

const folder = join(import.meta.dirname, "results");

/** The page of the day of the benchmark that runs. */
export function resultsPage(): string {
  const name = basename(process.argv[1] ?? "", ".ts");
  return join(folder, `${name}-${new Date().toISOString().slice(0, 10)}.md`);
}

/** Adds a section to that page, which is made when it is not there. */
export function appendResult(section: string): void {
  mkdirSync(folder, { recursive: true });
  appendFileSync(resultsPage(), section);
}
