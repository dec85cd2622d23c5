/**
 * `node bench/slow-clients.ts`: what slow and idle clients cost a worker of the gateway in memory, and
 * a fast client beside them in latency. The gateway has a core of its own, all else the other. It
 * ends by itself after about two minutes, with everything that it started.
 */
import { readFileSync } from "node:fs";
import { chmod, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Command, Option } from "commander";
import { folderOf, gateway } from "./http/contenders.ts";
import { cases, flawless, measure, type Run } from "./http/load.ts";
import { startOrigin } from "./http/origin.ts";
import { Processes, type Started } from "./http/processes.ts";
import { machine } from "./http/report.ts";
import { appendResult } from "./results-page.ts";
import type { Seen } from "./slow-clients/clients.ts";

interface Case {
  readonly name: string;
  /** As `clients.ts` calls them. */
  readonly kind: string;
  readonly clients: number;
  readonly processes: number;
  /** How long the clients stay once all are there. */
  readonly seconds: number;
}

interface Result {
  readonly asked: Case;
  readonly before: number;
  /** The highest that was seen, and the value at the end of the clients' stay. */
  readonly peak: number;
  readonly during: number;
  readonly after: number;
  readonly alone: Run;
  readonly beside: Run;
  /** The longest that an answer took while they came, in ms. */
  readonly worstMs: number;
  readonly seen: readonly Seen[];
}

const slowCases: readonly Case[] = [
  { name: "idle after one request", kind: "idle", clients: 10_000, processes: 4, seconds: 10 },
  { name: "a head at 1 byte a second", kind: "head", clients: 1_000, processes: 2, seconds: 20 },
  { name: "a body of 100 MB at 10 kB/s", kind: "body", clients: 200, processes: 2, seconds: 20 },
];
const gatewayCore = 0;
const otherCore = 1;
/** Connections of the fast client: one, so that its latency is the gateway's and not a queue's. */
const fastConnections = 1;
const latencySeconds = 5;
const sampleMs = 100;
/** From the last client's arrival to the measurement: kernel buffers fill, garbage is collected. */
const calmMs = 5_000;
/** After the clients have left: time to notice, and to collect what they have left. */
const settleMs = 8_000;
const largeBytes = 100_000_000;
const clientsFile = fileURLToPath(new URL("./slow-clients/clients.ts", import.meta.url));
const probeFile = fileURLToPath(new URL("./slow-clients/probe.ts", import.meta.url));

const options = new Command("slow-clients")
  .description("Memory of a worker and latency beside idle and slow clients.")
  .addOption(
    new Option("--case <kind>", "one kind of client only").choices(
      slowCases.map((asked) => asked.kind),
    ),
  )
  .option("--write", "append the table to its page of the day in bench/results", false)
  .parse()
  .opts<{ readonly case?: string; readonly write: boolean }>();

const processes = new Processes();
const probes = new Processes();
let clients = new Processes();
const directory = await mkdtemp(join(tmpdir(), "sluice-slow-clients-"));
let isInterrupted = false;

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    isInterrupted = true;
    end().finally(() => process.exit(signal === "SIGINT" ? 130 : 143));
  });
}

try {
  await main();
} catch (error) {
  if (!isInterrupted) {
    console.error(`slow-clients: ${error instanceof Error ? error.message : error}`);
    process.exitCode = 1;
  }
} finally {
  if (!isInterrupted) await end();
}

async function main(): Promise<void> {
  const chosen = slowCases.filter(({ kind }) => (options.case ?? kind) === kind);
  checkOpenFiles(Math.max(...chosen.map((asked) => asked.clients)));
  // nginx's workers run as another user.
  await chmod(directory, 0o755);
  const originPort = await startOrigin(processes, otherCore, directory);
  const large = join(directory, "origin", "files", "100m");
  await writeFile(large, "", { mode: 0o644 });
  await truncate(large, largeBytes);
  const { port, pid: worker } = await gateway.start({
    processes,
    core: gatewayCore,
    otherCore,
    originPort,
    directory: await folderOf(directory, gateway),
  });
  // Compiled, and its heap grown to what requests alone need.
  await fast(port, 64);
  const results: Result[] = [];
  for (const asked of chosen) results.push(await measureCase(asked, port, worker));
  const text = section(results);
  console.log(text);
  if (options.write) appendResult(`\n${text}`);
}

async function measureCase(asked: Case, port: number, worker: number): Promise<Result> {
  console.error(`${asked.clients} clients, ${asked.name}`);
  const alone = await fast(port, fastConnections);
  const before = resident(worker);
  let peak = before;
  const sampling = setInterval(() => {
    peak = Math.max(peak, resident(worker));
  }, sampleMs);
  try {
    clients = new Processes();
    const probe = probes.start(otherCore, [process.execPath, probeFile, String(port)]);
    await probe.line(/^ready$/);
    const started = Array.from({ length: asked.processes }, (_, index) =>
      startClients(asked, port, `127.0.0.${index + 2}`),
    );
    await Promise.all(started.map((each) => each.line(/^ready$/)));
    const stayUntil = performance.now() + asked.seconds * 1_000;
    await sleep(calmMs);
    const worstMs = await worstOf(probe);
    const beside = await fast(port, fastConnections);
    await sleep(Math.max(0, stayUntil - performance.now()));
    const during = resident(worker);
    const seen = await Promise.all(started.map(seenBy));
    await clients.stop();
    await sleep(settleMs);
    return { asked, before, peak, during, after: resident(worker), alone, beside, worstMs, seen };
  } finally {
    clearInterval(sampling);
  }
}

function startClients(asked: Case, port: number, address: string): Started {
  const count = asked.clients / asked.processes;
  const { kind } = asked;
  return clients.start(otherCore, [
    process.execPath,
    ...[clientsFile, kind, String(port), String(count), address],
  ]);
}

/** Ends the probe; resolves to the longest that an answer took. */
async function worstOf(probe: Started): Promise<number> {
  process.kill(probe.pid, "SIGUSR2");
  const [, worst = ""] = await probe.line(/^worst (.*)$/);
  await probes.stop();
  return Number(worst);
}

/** Has the clients of a process leave; resolves to what they saw. */
async function seenBy(started: Started): Promise<Seen> {
  process.kill(started.pid, "SIGUSR2");
  const [, json = ""] = await started.line(/^seen (.*)$/);
  return JSON.parse(json) as Seen;
}

async function fast(port: number, connections: number): Promise<Run> {
  const load = { core: otherCore, directory, connections, seconds: latencySeconds };
  return flawless(await measure(processes, cases.small, load, port));
}

function resident(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

/** The worker holds a file for each client, and some more. Node raises its own limit to the highest. */
function checkOpenFiles(needed: number): void {
  const limits = readFileSync("/proc/self/limits", "utf8");
  const most = /^Max open files\s+\d+\s+(\d+|unlimited)/m.exec(limits)?.[1];
  if (most === "unlimited" || Number(most) >= needed + 500) return;
  throw new Error(`a process may open ${most} files, ${needed + 500} are needed: raise ulimit -Hn`);
}

function section(results: readonly Result[]): string {
  const date = new Date().toISOString().slice(0, 10);
  const arguments_ = process.argv.slice(2).filter((argument) => argument !== "--write");
  return `### Idle and slow clients

\`${["node bench/slow-clients.ts", ...arguments_].join(" ")}\`, ${date}. ${machine()}. The gateway with one worker on one core;
the origin (nginx), the slow clients and the fast one (wrk, one connection, ${latencySeconds} s) on the other.
Resident memory of the worker: before the clients came, the highest value, at the end of their stay, and
${settleMs / 1_000} s after they left. Latency of the fast client without and beside the slow ones, once they
are all there; and the longest that one answer took while they came and in the ${calmMs / 1_000} s after.

${table(results)}

${results.map(({ asked, seen }) => `- ${asked.name}: ${told(asked, seen)}`).join("\n")}
`;
}

function table(results: readonly Result[]): string {
  const header = [
    ...["clients", "", "before MB", "peak MB", "with them MB", "after MB", "kB a client"],
    ...["p50 ms without", "beside", "p99 ms without", "beside", "worst ms as they come"],
  ];
  const rule = header.map((_, index) => (index === 1 ? "---" : "---:"));
  const rows = results.map(({ asked, before, peak, during, after, alone, beside, worstMs }) => [
    asked.clients.toLocaleString("en-GB"),
    asked.name,
    ...[before, peak, during, after].map((bytes) => (bytes / 2 ** 20).toFixed(0)),
    ((during - before) / asked.clients / 1_000).toFixed(1),
    ...[alone.p50Ms, beside.p50Ms, alone.p99Ms, beside.p99Ms].map((ms) => ms.toFixed(2)),
    worstMs.toFixed(0),
  ]);
  return [header, rule, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** What the gateway did to the clients, in a sentence. */
function told(asked: Case, seen: readonly Seen[]): string {
  const sum = (of: (seen: Seen) => number) => seen.reduce((total, each) => total + of(each), 0);
  const statuses = new Set(seen.flatMap((each) => Object.keys(each.statuses)));
  const answers = [...statuses].map(
    (status) => `${sum((each) => each.statuses[status] ?? 0)} with ${status}`,
  );
  const read =
    asked.kind === "body" ? `; ${(sum((each) => each.bytes) / 1e6).toFixed(1)} MB read` : "";
  return `${sum((each) => each.opened)} connections in ${asked.seconds} s or more, ${sum((each) => each.closed)} closed by the gateway; answered: ${answers.join(", ") || "none"}${read}.`;
}

async function end(): Promise<void> {
  await probes.stop();
  await clients.stop();
  await processes.stop();
  await rm(directory, { recursive: true, force: true });
}
