/**
 * Latency at half of the peak: what each proxy answers at most is measured with wrk, then all are asked
 * at half of the gateway's peak rate, in turn. `node bench/latency.ts [--write]`.
 */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { type Contender, folderOf, gateway, haproxy, httpProxy, nginx } from "./http/contenders.ts";
import { cases, measure } from "./http/load.ts";
import { startOrigin } from "./http/origin.ts";
import { Processes } from "./http/processes.ts";
import { machine, median } from "./http/report.ts";
import { appendResult } from "./results-page.ts";

const contenderCore = 0;
const otherCore = 1;
const connections = 64;
const seconds = 3;
const rounds = 3;
const worker = fileURLToPath(new URL("./http/steady-worker.ts", import.meta.url));

interface Latency {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly failed: number;
}

const options = new Command("latency")
  .option("--write", "append the table to its page of the day in bench/results", false)
  .parse()
  .opts<{ write: boolean }>();
const processes = new Processes();
const directory = await mkdtemp(join(tmpdir(), "sluice-bench-"));

try {
  // nginx's workers run as another user.
  await chmod(directory, 0o755);
  const originPort = await startOrigin(processes, otherCore, directory);
  const ports = new Map<Contender, number>();
  for (const contender of [gateway, nginx, haproxy, httpProxy]) {
    const own = await folderOf(directory, contender);
    const setting = { processes, core: contenderCore, otherCore, originPort, directory: own };
    ports.set(contender, (await contender.start(setting)).port);
  }
  const load = { core: otherCore, directory, connections, seconds };
  const peaks: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const run = await measure(processes, cases.small, load, ports.get(gateway) ?? 0);
    peaks.push(run.requestsPerSecond);
  }
  const rate = Math.round(median(peaks) / 2);
  const seen = new Map<Contender, Latency[]>([...ports.keys()].map((each) => [each, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const [contender, port] of ports) seen.get(contender)?.push(await steady(port, rate));
  }
  const rows = [...seen].map(([{ name }, all]) => {
    const of = (pick: (one: Latency) => number) => median(all.map(pick));
    const failed = all.reduce((sum, one) => sum + one.failed, 0);
    return `| ${name} | ${of((one) => one.p50Ms).toFixed(2)} | ${of((one) => one.p99Ms).toFixed(2)} | ${failed} |`;
  });
  const text = `### Latency at half of the peak

\`node bench/latency.ts\`, ${new Date().toISOString().slice(0, 10)}. ${machine()}. ${rate} requests/s, half of
what the whole gateway answers at most, over ${connections} connections; milliseconds from the moment a request was
due to the end of its answer; medians of ${rounds} rounds of ${seconds} s, all proxies in turn in each.

| | p50 ms | p99 ms | not answered in time, or failed |
| --- | ---: | ---: | ---: |
${rows.join("\n")}
`;
  console.log(text);
  if (options.write) appendResult(`\n${text}`);
} finally {
  await processes.stop();
  await rm(directory, { recursive: true });
}

async function steady(port: number, rate: number): Promise<Latency> {
  const asked = [port, rate, seconds, connections].map(String);
  const output = await processes.run(otherCore, [process.execPath, worker, ...asked]);
  return JSON.parse(output) as Latency;
}
