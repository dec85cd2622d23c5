/** One run of the load generator wrk, and what it says it saw. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { host, type Processes } from "./processes.ts";

/** What is asked for. */
export interface Case {
  readonly name: string;
  readonly path: string;
  readonly headers: readonly string[];
  /** Bytes of the body of a POST; absent: GET. */
  readonly postBytes?: number;
}

export interface Load {
  /** Where wrk may run. */
  readonly core: number;
  readonly connections: number;
  readonly seconds: number;
  /** For the script that wrk is given. */
  readonly directory: string;
}

export interface Run {
  readonly requestsPerSecond: number;
  readonly megabytesPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Requests that failed: other answers than 2xx and 3xx, connections that broke, answers after 2 s. */
  readonly failures: number;
}

const three = ["Accept: */*", "User-Agent: bench/1.0"];

/** What a browser sends with a navigation. Host makes it ten. */
const browser = [
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
  "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
  "Accept-Language: en-US,en;q=0.5",
  "Accept-Encoding: gzip, deflate, br, zstd",
  "Referer: http://bench.example/catalogue/spring?page=2",
  "Cookie: session=4f9d2c61b7e84a5f; theme=dark; consent=all",
  "Upgrade-Insecure-Requests: 1",
  "Cache-Control: max-age=0",
  "Priority: u=0, i",
];

export const cases = {
  small: { name: "GET, 3 headers, 129 B", path: "/small", headers: three },
  browser: { name: "GET, a browser's 10 headers, 129 B", path: "/small", headers: browser },
  post: { name: "POST of 1 kB, 129 B", path: "/small", headers: three, postBytes: 1_024 },
  "16k": { name: "GET, 3 headers, 16 kB", path: "/16k", headers: three },
  "1m": { name: "GET, 3 headers, 1 MB", path: "/1m", headers: three },
  close: {
    name: "GET, a connection for each request, 129 B",
    path: "/small",
    headers: [...three, "Connection: close"],
  },
} as const satisfies Record<string, Case>;

/** The arguments of wrk for a case, as they are run and written down. */
function wrkArguments(asked: Case, load: Load, port: number, script: string | null): string[] {
  return [
    "-t1",
    `-c${load.connections}`,
    `-d${load.seconds}s`,
    "--latency",
    ...[`Host: ${host}`, ...asked.headers].flatMap((header) => ["-H", header]),
    ...(script === null ? [] : ["-s", script]),
    `http://127.0.0.1:${port}${asked.path}`,
  ];
}

/** Runs the load once. */
export async function measure(
  processes: Processes,
  asked: Case,
  load: Load,
  port: number,
): Promise<Run> {
  let script: string | null = null;
  if (asked.postBytes !== undefined) {
    script = join(load.directory, "post.lua");
    await writeFile(
      script,
      `wrk.method = "POST"\nwrk.body = string.rep("x", ${asked.postBytes})\n`,
    );
  }
  return parse(await processes.run(load.core, ["wrk", ...wrkArguments(asked, load, port, script)]));
}

/** Reads wrk's report. Throws when a figure is missing. */
export function parse(report: string): Run {
  const errors = report.matchAll(/^\s*(?:Non-2xx or 3xx responses|Socket errors): (.*)$/gm);
  const counts = [...errors].flatMap(([, text = ""]) => text.match(/\d+/g) ?? []);
  return {
    failures: counts.reduce((sum, count) => sum + Number(count), 0),
    requestsPerSecond: Number(found(report, /^Requests\/sec:\s+([\d.]+)$/m)),
    megabytesPerSecond: bytesOf(found(report, /^Transfer\/sec:\s+([\d.]+[KMG]?B)$/m)) / 1e6,
    p50Ms: millisecondsOf(found(report, /^\s+50%\s+([\d.]+\w+)\s*$/m)),
    p99Ms: millisecondsOf(found(report, /^\s+99%\s+([\d.]+\w+)\s*$/m)),
  };
}

/** The run itself. Throws when a request failed: for what is compared closely, such a rate says nothing. */
export function flawless(run: Run): Run {
  if (run.failures > 0) throw new Error(`wrk: ${run.failures} requests failed`);
  return run;
}

function found(report: string, pattern: RegExp): string {
  const text = pattern.exec(report)?.[1];
  if (text === undefined) throw new Error(`wrk's report lacks ${pattern}:\n${report}`);
  return text;
}

/** wrk counts in powers of 1024. */
function bytesOf(text: string): number {
  const powers: Record<string, number> = { KB: 1, MB: 2, GB: 3 };
  return Number.parseFloat(text) * 1024 ** (powers[text.replace(/^[\d.]+/, "")] ?? 0);
}

function millisecondsOf(text: string): number {
  const factors: Record<string, number> = { us: 0.001, ms: 1, s: 1_000, m: 60_000 };
  const factor = factors[text.replace(/^[\d.]+/, "")];
  if (factor === undefined) throw new Error(`wrk: ${text} is no duration that is known here`);
  return Number.parseFloat(text) * factor;
}
