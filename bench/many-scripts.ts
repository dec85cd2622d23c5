/**
 * A thousand hosts with a script each, with room for fewer isolates: `node bench/many-scripts.ts
 * [--hosts N] [--seconds N]`. One worker; hosts are asked with a skew (most requests go to few hosts) and
 * evenly, which is the worst that can happen to the isolates.
 */
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { parse } from "./http/load.ts";
import { startOrigin } from "./http/origin.ts";
import { cpuSeconds, Processes, workersOf } from "./http/processes.ts";
import { Results } from "./http/results.ts";
import { startGateway } from "./scripts/gateway.ts";

const { values } = parseArgs({
  options: {
    hosts: { type: "string", default: "1000" },
    seconds: { type: "string", default: "5" },
    write: { type: "boolean", default: false },
  },
});
const results = new Results(import.meta.filename, values.write);
const count = Number(values.hosts);
const seconds = Number(values.seconds);

const processes = new Processes();
const directory = await mkdtemp(join(tmpdir(), "sluice-bench-"));

async function residentMegabytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1024;
}

/** What wrk is to ask; `exponent` 1 is even, more asks the first hosts more often. */
async function wrkScript(name: string, hosts: number, exponent: number): Promise<string> {
  const file = join(directory, `${name}.lua`);
  await writeFile(
    file,
    `math.randomseed(7)
request = function()
  local at = math.floor(${hosts} * math.random() ^ ${exponent})
  return wrk.format("GET", "/small", { ["Host"] = "h" .. at .. ".example", ["X-User"] = "4711" })
end
`,
  );
  return file;
}

try {
  await chmod(directory, 0o755);
  const originPort = await startOrigin(processes, 1, directory);
  const hosts: Record<string, string> = {};
  for (let at = 0; at < count; at += 1) {
    hosts[`h${at}.example`] = `const own = "${at}";
      export default function (request) {
        if (request.method === "GET") request.headers.set("x-own", own + request.headers.get("x-user"));
      }`;
  }
  const start = performance.now();
  const gateway = await startGateway({
    ...{ processes, directory, originPort, hosts },
    ...{ core: 0, otherCore: 1, workers: 1 },
  });
  const startedMs = performance.now() - start;
  const [worker = 0] = workersOf(gateway.pid);
  results.say(`${count} scripts written, checked and served after ${Math.round(startedMs)} ms`);
  const run = async (name: string, asked: number, exponent: number) => {
    const script = await wrkScript(name.replaceAll(/\W+/g, "-"), asked, exponent);
    const before = cpuSeconds(worker);
    const text = await processes.run(1, [
      ...["wrk", "-t1", "-c16", `-d${seconds}s`, "--latency", "-s", script],
      `http://127.0.0.1:${gateway.port}/`,
    ]);
    const { requestsPerSecond, p50Ms, p99Ms, failures } = parse(text);
    const cost = ((cpuSeconds(worker) - before) * 1e6) / (requestsPerSecond * seconds);
    const rate = Math.round(requestsPerSecond).toLocaleString("en-GB");
    const memory = Math.round(await residentMegabytes(worker));
    const cells = [name, rate, failures, p50Ms, p99Ms, cost.toFixed(0), memory];
    results.say(`| ${cells.join(" | ")} |`);
  };
  // What a worker does for the first time is not what is measured.
  await processes.run(1, [
    "wrk",
    "-t1",
    "-c16",
    "-d1s",
    "-H",
    "Host: h0.example",
    `http://127.0.0.1:${gateway.port}/small`,
  ]);
  results.say(
    "| requests to | a second | failed in all | p50 ms | p99 ms | CPU us each | worker MB |",
  );
  results.say(`| --- |${" ---: |".repeat(6)}`);
  results.say(`| none yet | | | | | | ${Math.round(await residentMegabytes(worker))} |`);
  await run("1 host", 1, 1);
  await run("100 hosts, evenly", Math.min(100, count), 1);
  await run("190 hosts, evenly", Math.min(190, count), 1);
  await run(`${count} hosts, 9 of 10 requests to 120`, count, 20);
  await run(`${count} hosts, evenly`, count, 1);
} finally {
  await processes.stop();
  await rm(directory, { recursive: true, force: true });
}
