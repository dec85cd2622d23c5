/**
 * What a benchmark prints, line by line, and with `--write` also as a page of its own in `bench/results/`, named by
 * the benchmark and the day.
 */
import { loadavg } from "node:os";
import { basename } from "node:path";
import { appendResult } from "../results-page.ts";
import { machine } from "./report.ts";

export class Results {
  readonly #writes: boolean;

  /** @param file the benchmark's own. @param writes whether there is to be a page. */
  constructor(file: string, writes: boolean) {
    const name = basename(file, ".ts");
    const day = new Date().toISOString().slice(0, 10);
    this.#writes = writes;
    const flags = process.argv.slice(2).filter((flag) => flag !== "--write");
    const command = ["node", `bench/${name}.ts`, ...flags].join(" ");
    if (writes) appendResult(`# ${name}\n\n`);
    this.say(`\`${command}\`, ${day}; ${machine()}; load ${loadavg()[0]?.toFixed(1)} at the start`);
    this.say("");
  }

  /** Written at once, so that what is interrupted keeps what it had. */
  say(line: string): void {
    console.log(line);
    if (this.#writes) appendResult(`${line}\n`);
  }
}
