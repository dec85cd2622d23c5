/**
 * What a rewrite script costs a whole request: `node bench/scripts.ts [--rounds N] [--seconds N]`. One
 * gateway with one worker on a core of its own; the load generator (wrk) and the origin (nginx) on
 * the other. Hosts without a script, with one, and with one whose `match` excludes the request are
 * asked in turn, forwards and backwards, so that a machine that is busy for a while is busy for all of them.
 */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { flawless, parse } from "./http/load.ts";
import { startOrigin } from "./http/origin.ts";
import { cpuSeconds, Processes, workersOf } from "./http/processes.ts";
import { median } from "./http/report.ts";
import { Results } from "./http/results.ts";
import { startGateway } from "./scripts/gateway.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "7" },
    seconds: { type: "string", default: "3" },
    write: { type: "boolean", default: false },
  },
});
const results = new Results(import.meta.filename, values.write);
const gatewayCore = 0;
const otherCore = 1;

const hosts: Readonly<Record<string, string | null>> = {
  "no script": null,
  // The control: what differs between this and the first is not the script's.
  "no script, another host": null,
  "a script whose match excludes the request": `
    export const match = { methods: ["DELETE"] };
    export default function () { return deny(403); }`,
  "a script that reads the method and sets a header": `
    export default function (request) {
      if (request.method === "GET") request.headers.set("x-script", "1");
    }`,
  "a script that reads method, path and a header and sets one": `
    export default function (request) {
      if (request.method === "GET" && request.path.startsWith("/s")) {
        request.headers.set("x-agent", request.headers.get("user-agent"));
      }
    }`,
};

const processes = new Processes();
const directory = await mkdtemp(join(tmpdir(), "sluice-bench-"));
try {
  await chmod(directory, 0o755);
  const originPort = await startOrigin(processes, otherCore, directory);
  const names = Object.keys(hosts);
  const gateway = await startGateway({
    processes,
    core: gatewayCore,
    otherCore,
    directory,
    originPort,
    workers: 1,
    hosts: Object.fromEntries(names.map((name, at) => [`h${at}.example`, hosts[name] ?? null])),
  });
  const rates = new Map<string, number[]>(names.map((name) => [name, []]));
  const costs = new Map<string, number[]>(names.map((name) => [name, []]));
  const [worker = 0] = workersOf(gateway.pid);
  const rounds = Number(values.rounds);
  for (let round = 0; round <= rounds; round += 1) {
    // Backwards in every second round: what a case leaves behind is not always the same one's to clear.
    const turns = [...names.entries()];
    const order = round % 2 === 0 ? turns : turns.reverse();
    for (const [at, name] of order) {
      const seconds = round === 0 ? "1" : values.seconds;
      const before = cpuSeconds(worker);
      const text = await processes.run(otherCore, [
        ...["wrk", "-t1", "-c64", `-d${seconds}s`, "--latency"],
        ...["-H", `Host: h${at}.example`, "-H", "Accept: */*", "-H", "User-Agent: bench/1.0"],
        `http://127.0.0.1:${gateway.port}/small`,
      ]);
      if (round === 0) continue;
      const run = flawless(parse(text));
      rates.get(name)?.push(run.requestsPerSecond);
      const requests = run.requestsPerSecond * Number(values.seconds);
      costs.get(name)?.push(((cpuSeconds(worker) - before) * 1e6) / requests);
    }
  }
  const none = { rates: rates.get("no script") ?? [], costs: costs.get("no script") ?? [] };
  results.say(`medians of ${rounds} rounds\n`);
  results.say("| | requests/s | of no script | worker, CPU us a request | more than no script |");
  results.say("| --- | ---: | ---: | ---: | ---: |");
  for (const name of names) {
    const own = rates.get(name) ?? [];
    // Neighbours in time are compared, so that what the machine does otherwise cancels out.
    const ratio = median(own.map((rate, at) => rate / (none.rates[at] ?? rate)));
    const rate = Math.round(median(own)).toLocaleString("en-GB");
    const cost = costs.get(name) ?? [];
    const more = median(cost.map((each, at) => each - (none.costs[at] ?? each)));
    results.say(
      `| ${name} | ${rate} | ${ratio.toFixed(3)} | ${median(cost).toFixed(1)} | ${more.toFixed(1)} |`,
    );
  }
} finally {
  await processes.stop();
  await rm(directory, { recursive: true, force: true });
}
