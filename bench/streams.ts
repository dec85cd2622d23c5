/**
 * `node bench/streams.ts`: connections that carry bytes through one worker, beside HAProxy, nginx and a bare pipe on
 * Node. Each contender has one core, the load and the origin the other; they take turns. The processor time of a
 * contender for what it carried is compared, because load and origin take from the other core what is left.
 */

import { existsSync } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { freePort } from "../test/support/ports.ts";
import { quantile, report, section, table } from "./end-to-end/measurements.ts";
import {
  type Contender,
  folderOf,
  pipe,
  type Running,
  type Setting,
  whenAnswering,
} from "./http/contenders.ts";
import { type Case, cases, flawless, measure } from "./http/load.ts";
import { positive } from "./http/options.ts";
import { startOrigin } from "./http/origin.ts";
import { cpuSeconds, Processes, workersOf } from "./http/processes.ts";

const contenderCore = 0;
const otherCore = 1;
const streamModule = "/usr/lib/nginx/modules/ngx_stream_module.so";

/** The whole gateway with one worker and a port for TCP. */
const sluice: Contender = {
  name: "sluice",
  missing: () => null,
  async start({ processes, core, originPort, directory }) {
    const cli = fileURLToPath(new URL("../gateway/cli.ts", import.meta.url));
    const [consulPort, port, http, admin] = await Promise.all(
      Array.from({ length: 4 }, () => freePort()),
    );
    const consul = `http://127.0.0.1:${consulPort}`;
    const agent = processes.start(otherCore, [
      ...[process.execPath, cli, "agent", "--http", `127.0.0.1:${consulPort}`],
      ...["--data-dir", join(directory, "agent")],
    ]);
    await agent.answers(`${consul}/v1/agent/self`);
    const servers = [{ host: "127.0.0.1", port: originPort }];
    const body = JSON.stringify({ servers });
    const stored = await fetch(`${consul}/v1/kv/sluice/upstreams/origin`, { method: "PUT", body });
    if (!stored.ok) throw new Error(`the agent refused the document: ${stored.status}`);
    const started = processes.start(core, [
      ...[process.execPath, cli, "start", "--workers", "1", "--consul", consul],
      ...["--http", `127.0.0.1:${http}`, "--admin", `127.0.0.1:${admin}`],
      ...["--tcp", `127.0.0.1:${port}=origin`],
    ]);
    const running = await whenAnswering(started, port ?? 0);
    const answer = await fetch(`http://127.0.0.1:${admin}/status`);
    const status = (await answer.json()) as { workers: readonly { pid: number }[] };
    return { ...running, pid: status.workers[0]?.pid ?? running.pid };
  },
};

const haproxy: Contender = {
  name: "HAProxy",
  missing: () => null,
  async start({ processes, core, originPort, directory }) {
    const port = await freePort();
    const file = join(directory, "haproxy.cfg");
    await writeFile(
      file,
      `global
  nbthread 1
  maxconn 4000
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend streams
  bind 127.0.0.1:${port} backlog 4096
  default_backend origin
backend origin
  server origin 127.0.0.1:${originPort}
`,
    );
    return whenAnswering(processes.start(core, ["haproxy", "-db", "-f", file]), port);
  },
};

const nginx: Contender = {
  name: "nginx stream",
  missing: () => (existsSync(streamModule) ? null : `${streamModule} is not there`),
  async start({ processes, core, originPort, directory }: Setting) {
    const port = await freePort();
    const file = join(directory, "nginx.conf");
    await writeFile(
      file,
      `load_module ${streamModule};
daemon off;
pid ${join(directory, "nginx.pid")};
error_log ${join(directory, "error.log")} warn;
worker_processes 1;
events { worker_connections 16384; }
stream {
  server {
    listen 127.0.0.1:${port} backlog=4096;
    proxy_pass 127.0.0.1:${originPort};
  }
}
`,
    );
    const started = processes.start(core, ["nginx", "-p", directory, "-c", file]);
    return { ...(await whenAnswering(started, port)), pid: started.pid };
  },
};

interface Measurement {
  readonly asked: Case;
  readonly title: string;
  readonly unit: string;
  readonly connections: number;
  /** What is counted of a run, a second. */
  readonly rate: (run: Awaited<ReturnType<typeof measure>>) => number;
}

const measurements: readonly Measurement[] = [
  {
    asked: cases["1m"],
    title: "bytes: answers of 1 MB over 8 kept connections",
    unit: "MB/s",
    connections: 8,
    rate: ({ megabytesPerSecond }) => megabytesPerSecond,
  },
  {
    asked: cases.close,
    title: "connections: one for each request, 50 at once",
    unit: "connections/s",
    connections: 50,
    rate: ({ requestsPerSecond }) => requestsPerSecond,
  },
  {
    asked: cases.small,
    title: "round trips: 100 bytes there, 300 back, over 50 kept connections",
    unit: "round trips/s",
    connections: 50,
    rate: ({ requestsPerSecond }) => requestsPerSecond,
  },
];

const { rounds, seconds, write } = new Command("bench-streams")
  .description("Connections that carry bytes through one worker, beside HAProxy and nginx.")
  .option("--rounds <n>", "rounds of all contenders; the median counts", positive, 7)
  .option("--seconds <n>", "of each run", positive, 5)
  .option("--write", "append the tables to its page of the day in bench/results", false)
  .parse()
  .opts<{ rounds: number; seconds: number; write: boolean }>();

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

interface Contending {
  readonly name: string;
  readonly at: Running;
}

interface Seen {
  readonly rate: number;
  /** For each second of the contender's processor time. */
  readonly perProcessorSecond: number;
}

async function main(): Promise<void> {
  // nginx's worker has another user.
  await chmod(directory, 0o755);
  const originPort = await startOrigin(processes, otherCore, directory);
  const contending: Contending[] = [];
  for (const contender of [sluice, haproxy, nginx, pipe]) {
    const missing = contender.missing();
    if (missing !== null) {
      console.error(`without ${contender.name}: ${missing}`);
      continue;
    }
    const folder = await folderOf(directory, contender);
    const setting = { processes, core: contenderCore, otherCore, originPort, directory: folder };
    contending.push({ name: contender.name, at: await contender.start(setting) });
  }
  const parts: string[] = [];
  for (const measurement of measurements) parts.push(await tableOf(measurement, contending));
  const words = `One worker each on core ${contenderCore}, wrk and the origin (nginx) on core ${otherCore}; medians of ${rounds} rounds of ${seconds} s, in turns. Ratios are medians of each round's own.`;
  report(section("Connections that carry bytes", words, parts.join("\n\n")), write);
}

async function tableOf(
  measurement: Measurement,
  contending: readonly Contending[],
): Promise<string> {
  const seen = contending.map((): Seen[] => []);
  for (let round = -1; round < rounds; round += 1)
    for (const [at, { at: running }] of contending.entries()) {
      const run = await once(measurement, running);
      // The first round warms up.
      if (round >= 0) seen[at]?.push(run);
    }
  const base = seen[contending.findIndex(({ name }) => name === haproxy.name)] ?? [];
  const ratio = (runs: readonly Seen[], value: (run: Seen) => number) => {
    const ratios = runs.map((run, at) => value(run) / value(base[at] ?? run));
    return quantile(ratios, 0.5).toFixed(2);
  };
  const rows = contending.map(({ name }, at) => {
    const runs = seen[at] ?? [];
    return [
      name,
      quantile(
        runs.map(({ rate }) => rate),
        0.5,
      ).toFixed(0),
      ratio(runs, ({ rate }) => rate),
      quantile(
        runs.map(({ perProcessorSecond }) => perProcessorSecond),
        0.5,
      ).toFixed(0),
      ratio(runs, ({ perProcessorSecond }) => perProcessorSecond),
    ];
  });
  const head = ["", measurement.unit, "of HAProxy", "for a second of processor time", "of HAProxy"];
  return `**${measurement.title}**\n\n${table(head, rows)}`;
}

async function once({ asked, connections, rate }: Measurement, at: Running): Promise<Seen> {
  const load = { core: otherCore, connections, seconds, directory };
  const before = processorSecondsOf(at.pid);
  const run = flawless(await measure(processes, asked, load, at.port));
  const used = processorSecondsOf(at.pid) - before;
  return { rate: rate(run), perProcessorSecond: (rate(run) * seconds) / used };
}

/** nginx works in a process of its own. */
function processorSecondsOf(pid: number): number {
  return [pid, ...workersOf(pid)].reduce((sum, each) => sum + cpuSeconds(each), 0);
}

async function end(): Promise<void> {
  await processes.stop();
  await rm(directory, { recursive: true, force: true });
}
