/** Numbers of a benchmark as a Markdown section, and where it goes. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { appendResult } from "../results-page.ts";

/** The value below which `share` (0 to 1) of the values lie. Throws when there is none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const value = sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)];
  if (value === undefined) throw new Error("no values");
  return value;
}

export function table(
  head: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const rule = head.map((_, index) => (index === 0 ? "---" : "---:"));
  return [head, rule, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** A section with its command, machine and date, as it stands on the page. */
export function section(title: string, words: string, body: string): string {
  const script = (process.argv[1] ?? "").split("/").slice(-2).join("/");
  const flags = process.argv.slice(2).filter((argument) => argument !== "--write");
  const command = ["node", script, ...flags].join(" ");
  const date = new Date().toISOString().slice(0, 10);
  return `### ${title}\n\n\`${command}\`, ${date}. ${machine()}. ${words}\n\n${body}\n`;
}

/** Prints it, and appends it to the page when `write` is given. */
export function report(text: string, write: boolean): void {
  console.log(text);
  // Above this something else took the processor, and the figures are not the gateway's alone.
  console.error(`load average of the last minute: ${(loadavg()[0] ?? 0).toFixed(2)}`);
  if (write) appendResult(`\n${text}`);
}

function machine(): string {
  const cores = cpus();
  const model = (cores[0]?.model ?? "unknown").trim().replaceAll(/\s+/g, " ");
  return `${cores.length} cores (${model}), ${system()}, Node ${process.versions.node}`;
}

function system(): string {
  try {
    const name = /^PRETTY_NAME="?([^"\n]+)/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1];
    if (name !== undefined) return name;
  } catch {
    // Not every system has the file.
  }
  return execFileSync("uname", ["-sr"], { encoding: "utf8" }).trim();
}

/** Megabytes of a process by what kind of memory it is, from `smaps_rollup`; Linux only. */
export function memoryOf(pid: number): {
  readonly resident: number;
  readonly proportional: number;
} {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const megabytes = (field: string) =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(text)?.[1] ?? 0) / 1024;
  return { resident: megabytes("Rss"), proportional: megabytes("Pss") };
}
