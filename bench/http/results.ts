/**
 * What a benchmark prints, line by line, and with `--write` also as a page of its own in `bench/results/`, named by
 * the benchmark and the day.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { machine } from "./report.ts";

const folder = fileURLToPath(new URL("../results/", import.meta.url));

export class Results {
  readonly #lines: string[] = [];
  readonly #path: string | null;

  /** @param file the benchmark's own. @param writes whether there is to be a page. */
  constructor(file: string, writes: boolean) {
    const name = basename(file, ".ts");
    const day = new Date().toISOString().slice(0, 10);
    this.#path = writes ? join(folder, `${name}-${day}.md`) : null;
    const flags = process.argv.slice(2).filter((flag) => flag !== "--write");
    const command = ["node", `bench/${name}.ts`, ...flags].join(" ");
    this.#lines.push(`# ${name}`, "");
    this.say(`\`${command}\`, ${day}; ${machine()}; load ${loadavg()[0]?.toFixed(1)} at the start`);
    this.say("");
  }

  /** Written at once, so that what is interrupted keeps what it had. */
  say(line: string): void {
    console.log(line);
    this.#lines.push(line);
    if (this.#path === null) return;
    mkdirSync(folder, { recursive: true });
    writeFileSync(this.#path, `${this.#lines.join("\n")}\n`);
  }
}
