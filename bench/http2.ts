/**
 * `node bench/http2.ts`: HTTP/2 without TLS, the engine alone beside nginx, with h2load. Each contender has one core, the
 * load and the origin the other; they take turns. Besides requests a second it tells the processor time of the contender for
 * each request, which other work on the machine changes less.
 */
import { readFileSync } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import {
  type Contender,
  engine,
  folderOf,
  nginxFrame,
  nginxLocation,
  type Running,
  whenAnswering,
} from "./http/contenders.ts";
import { startOrigin } from "./http/origin.ts";
import { freePort, Processes } from "./http/processes.ts";
import { machine, median } from "./http/report.ts";

interface Case {
  readonly name: string;
  readonly connections: number;
  readonly streams: number;
  readonly requests: number;
}

interface Measured {
  readonly perSecond: number;
  readonly processorMicroseconds: number;
}

const contenderCore = 0;
const otherCore = 1;
/** In a kernel's count of processor time (`getconf CLK_TCK`). */
const ticksPerSecond = 100;

const cases: readonly Case[] = [
  { name: "50 connections, 1 stream each", connections: 50, streams: 1, requests: 40_000 },
  { name: "10 connections, 100 streams each", connections: 10, streams: 100, requests: 80_000 },
];

/** nginx 1.22 speaks either protocol on a port, and is asked in HTTP/1.1 whether it is there. */
const nginxHttp2: Contender = {
  name: "nginx",
  missing: () => null,
  async start({ processes, core, originPort, directory }) {
    const [port, plainPort] = [await freePort(), await freePort()];
    const config = nginxFrame(
      directory,
      `
    upstream origin {
      server 127.0.0.1:${originPort};
      keepalive 1024;
      keepalive_requests 1000000000;
    }
    server {
      listen 127.0.0.1:${port} http2 backlog=4096;
      listen 127.0.0.1:${plainPort};
${nginxLocation}
    }`,
    );
    const file = join(directory, "nginx.conf");
    await writeFile(file, config);
    const started = processes.start(core, ["nginx", "-p", directory, "-c", file]);
    return { ...(await whenAnswering(started, plainPort)), port };
  },
};

const { rounds } = new Command("bench-http2")
  .description("HTTP/2 requests of one worker beside nginx.")
  .option("--rounds <n>", "rounds of both contenders; the median counts", positive, 5)
  .parse()
  .opts<{ rounds: number }>();

const processes = new Processes();
const directory = await mkdtemp(join(tmpdir(), "sluice-bench-"));
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => end().finally(() => process.exit(1)));
}
try {
  await main();
} finally {
  await end();
}

async function main(): Promise<void> {
  // nginx's worker has another user.
  await chmod(directory, 0o755);
  const originPort = await startOrigin(processes, otherCore, directory);
  const running: { readonly name: string; readonly at: Running }[] = [];
  for (const contender of [engine, nginxHttp2]) {
    const folder = await folderOf(directory, contender);
    const setting = { processes, core: contenderCore, otherCore, originPort, directory: folder };
    running.push({ name: contender.name, at: await contender.start(setting) });
  }
  console.log(`${machine()}. Medians of ${rounds} rounds.\n`);
  console.log(
    "| | | requests/s | µs of processor | of nginx |\n| --- | --- | ---: | ---: | ---: |",
  );
  for (const asked of cases) {
    const runs = running.map((): Measured[] => []);
    for (const { at } of running) await measure(asked, at);
    for (let round = 0; round < rounds; round += 1) {
      for (const [index, { at }] of running.entries()) runs[index]?.push(await measure(asked, at));
    }
    const costs = runs.map((all) => median(all.map((run) => run.processorMicroseconds)));
    for (const [index, { name }] of running.entries()) {
      const rate = median(runs[index]?.map((run) => run.perSecond) ?? []);
      const cost = costs[index] ?? 0;
      const share = ((costs.at(-1) ?? 0) / cost).toFixed(2);
      console.log(
        `| ${asked.name} | ${name} | ${Math.round(rate)} | ${cost.toFixed(1)} | ${share} |`,
      );
    }
  }
}

/** One run of h2load. Throws when a request failed. */
async function measure(asked: Case, { port, pid }: Running): Promise<Measured> {
  const before = processorTicks(pid);
  const output = await processes.run(otherCore, [
    "h2load",
    ...["-n", String(asked.requests), "-c", String(asked.connections), "-m", String(asked.streams)],
    `http://127.0.0.1:${port}/small`,
  ]);
  const ticks = processorTicks(pid) - before;
  const [, perSecond] = /finished in .*?, ([0-9.]+) req\/s/.exec(output) ?? [];
  const [, good] = / ([0-9]+) succeeded/.exec(output) ?? [];
  if (perSecond === undefined || Number(good) !== asked.requests) throw new Error(output);
  return {
    perSecond: Number(perSecond),
    processorMicroseconds: (ticks / ticksPerSecond / asked.requests) * 1e6,
  };
}

/** User and system time of a process and of the processes that it started (proc(5)). */
function processorTicks(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").trim();
  const own = Number(fields[11]) + Number(fields[12]);
  if (children === "") return own;
  return children.split(" ").reduce((sum, child) => sum + processorTicks(Number(child)), own);
}

async function end(): Promise<void> {
  await processes.stop();
  await rm(directory, { recursive: true, force: true });
}

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError("a number above 0");
  return value;
}
