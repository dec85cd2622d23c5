/**
 * What thirty bad hosts cost a good one: `node bench/crowds.ts [--seconds N] [--hosts N] [--rate N] [--only TEXT] [--write]`.
 * A gateway with two workers; a host with a quick script is asked at a steady rate, first alone, then beside each
 * crowd, whose hosts are asked at rates of their own.
 */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startOrigin } from "./http/origin.ts";
import { Processes, workersOf } from "./http/processes.ts";
import { Results } from "./http/results.ts";
import { crowds } from "./scripts/crowds.ts";
import { startGateway } from "./scripts/gateway.ts";
import { type Answer, quantile, SteadyClient } from "./scripts/steady-client.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    hosts: { type: "string", default: "30" },
    rate: { type: "string", default: "10" },
    only: { type: "string", default: "" },
    write: { type: "boolean", default: false },
  },
});
const results = new Results(import.meta.filename, values.write);
const seconds = Number(values.seconds);
const hosts = Number(values.hosts);
/** Requests a second, of each bad host and of the good one. */
const badRate = Number(values.rate);
const goodRate = 200;
const goodScript = `export default (request) => { request.headers.set("x-rule", request.path); };`;

const origins = new Processes();
const directory = await mkdtemp(join(tmpdir(), "sluice-bench-"));
const client = new SteadyClient();

function row(
  name: string,
  good: readonly Answer[],
  bad: readonly Answer[],
  workersLost: number,
): string {
  const first = good.filter(({ atMs }) => atMs < 1_000);
  const later = good.filter(({ atMs }) => atMs >= 1_000);
  const cells = [first, later].flatMap((part) =>
    [0.5, 0.99, 1].map((at) => quantile(part, at).toFixed(1)),
  );
  const failures = good.filter(({ status }) => status !== 200).map(({ status }) => status);
  const failed = `${failures.length} ${[...new Set(failures)].join(" ")}`;
  const passed = bad.filter(({ status }) => status === 200).length;
  return `| ${[name, ...cells, failed, bad.length, passed, workersLost].join(" | ")} |`;
}

try {
  await chmod(directory, 0o755);
  const originPort = await startOrigin(origins, 1, directory);
  const names = Object.keys(crowds).filter((name) => name.includes(values.only));
  results.say(`${seconds} s each, ${hosts} hosts at ${badRate}/s, a good one at ${goodRate}/s\n`);
  results.say(
    "| beside | p50 ms | p99 | longest, of the first second | p50 | p99 | longest, later | good ones failed | bad ones | passed | workers that ended |",
  );
  results.say(`| --- |${" ---: |".repeat(10)}`);
  for (const name of ["nothing", ...names]) {
    const text = crowds[name];
    const bad =
      text === undefined ? [] : Array.from({ length: hosts }, (_, at) => `bad${at}.example`);
    const scripts = [["good.example", goodScript], ...bad.map((host) => [host, text ?? ""])];
    const processes = new Processes();
    try {
      const gateway = await startGateway({
        ...{ processes, directory: join(directory, name), originPort },
        ...{ hosts: Object.fromEntries(scripts), core: "0,1", otherCore: 1, workers: 2 },
      });
      const { port } = gateway;
      const before = workersOf(gateway.pid).slice(0, 2);
      await client.load({ port, host: "good.example", rate: goodRate, seconds: 2 });
      const [good, ...all] = await Promise.all([
        client.load({ port, host: "good.example", rate: goodRate, seconds }),
        ...bad.map((host) => client.load({ port, host, rate: badRate, seconds })),
      ]);
      const lost = before.filter((pid) => !workersOf(gateway.pid).includes(pid));
      results.say(row(name, good ?? [], all.flat(), lost.length));
    } finally {
      await processes.stop();
    }
  }
} finally {
  client.close();
  await origins.stop();
  await rm(directory, { recursive: true, force: true });
}
