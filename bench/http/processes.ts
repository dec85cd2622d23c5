/**
 * Processes that a benchmark starts, each on a core of its own choosing, and their end: all of them
 * are gone when the benchmark is, by process id, whichever way it ends.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { get } from "node:http";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";

export interface Started {
  readonly pid: number;
  /** Resolves to the first line on standard output that matches; rejects when the process ends before. */
  line(pattern: RegExp): Promise<RegExpExecArray>;
  /** Resolves when `url`, asked for the host `name` or its own, answers with 200; rejects when the process ends or 15 seconds have passed. */
  answers(url: string, name?: string): Promise<void>;
}

/** The Host of all requests. */
export const host = "bench.example";
/** How long a process may take to end after SIGTERM. */
const graceMs = 3_000;
/** How much of a process's output is kept: its first words are waited for, its last explain its end. */
const keptLines = 100;
/** How long a process may take to answer its first request. */
const answerMs = 15_000;

export class Processes {
  readonly #children: ChildProcess[] = [];

  /** Starts a command that may run on `core` only. Its errors go to the benchmark's own. */
  start(core: number | string, command: readonly string[]): Started {
    const { child, stdout } = this.#spawn(core, command);
    const seen: string[] = [];
    createInterface({ input: stdout }).on("line", (line) => {
      seen.push(line);
      if (seen.length > keptLines) seen.shift();
    });
    const ended = () => new Error(`${command.join(" ")} ended: ${seen.join("\n")}`);
    return {
      pid: child.pid ?? 0,
      async line(pattern) {
        for (;;) {
          for (const text of seen) {
            const match = pattern.exec(text);
            if (match) return match;
          }
          if (!isRunning(child)) throw ended();
          await sleep(10);
        }
      },
      async answers(url, name) {
        const deadline = performance.now() + answerMs;
        for (let outcome = await ask(url, name); outcome !== 200; outcome = await ask(url, name)) {
          if (!isRunning(child)) throw ended();
          if (performance.now() > deadline) throw new Error(`${url} does not answer: ${outcome}`);
          await sleep(20);
        }
      },
    };
  }

  /** Runs a command to its end on `core`; resolves to its output. Rejects when it fails. */
  async run(core: number | string, command: readonly string[]): Promise<string> {
    const { child, stdout } = this.#spawn(core, command);
    const [output] = await Promise.all([text(stdout), once(child, "exit")]);
    if (child.exitCode !== 0) throw new Error(`${command.join(" ")} failed: ${output}`);
    return output;
  }

  /** Ends everything, the last first. Resolves when all of it has ended. */
  async stop(): Promise<void> {
    for (const child of this.#children.splice(0).reverse()) {
      if (!isRunning(child)) continue;
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), graceMs);
      await ended;
      clearTimeout(timer);
    }
  }

  #spawn(
    core: number | string,
    command: readonly string[],
  ): { child: ChildProcess; stdout: Readable } {
    const child = spawn("taskset", ["-c", String(core), ...command], {
      stdio: ["ignore", "pipe", "inherit"],
      // Ctrl-C at the terminal reaches the benchmark alone, which ends its processes in order.
      detached: true,
    });
    this.#children.push(child);
    return { child, stdout: child.stdout };
  }
}

function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

/** The status of the answer to a GET for the host `name`, by default the URL's, or why there is none. */
function ask(url: string, name: string | undefined): Promise<number | string> {
  const headers = name === undefined ? {} : { host: name };
  return new Promise((resolve) => {
    const request = get(url, { agent: false, headers, timeout: 1_000 }, (response) => {
      response.resume();
      response.once("close", () => resolve(response.statusCode ?? 0));
    });
    request.once("timeout", () => request.destroy(new Error("no answer within a second")));
    request.once("error", (error) => resolve(error.message));
  });
}

/** Resident memory in megabytes of a process and of all that it started; Linux only. */
export function residentMegabytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const own = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1024;
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  if (children === "") return own;
  return children.split(" ").reduce((sum, child) => sum + residentMegabytes(Number(child)), own);
}

/** The processes that `pid` started; Linux only. */
export function workersOf(pid: number): readonly number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return children === "" ? [] : children.split(" ").map(Number);
}

/** Processor time that a process has used with all its threads; Linux only, where a tick is 10 ms. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
