/**
 * Many host documents: the time from the start of a gateway to its being ready, the memory of its
 * processes, and how long a change of one document then takes to every worker.
 */
import { Agent } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { Command, Option } from "commander";
import { send } from "../test/support/gateway.ts";
import { runToEnd } from "./end-to-end/ending.ts";
import { memoryOf, quantile, report, section, table } from "./end-to-end/measurements.ts";
import { type ConsulName, consulNames, homeHost, Parts, timeChange } from "./end-to-end/parts.ts";
import { positive } from "./http/options.ts";

const { consul, hosts, changes, requests, write } = new Command("hosts")
  .addOption(new Option("--consul <kind>").choices(consulNames).default("real"))
  .option("--hosts <n>", "host documents", positive, 10_000)
  .option("--changes <n>", "changes of one document", positive, 50)
  .option("--requests <n>", "small requests before the memory is read again", positive, 20_000)
  .option("--write", "append the table to its page of the day in bench/results", false)
  .parse()
  .opts<{
    consul: ConsulName;
    hosts: number;
    changes: number;
    requests: number;
    write: boolean;
  }>();

const concurrency = 16;

/** What a whole run showed. */
interface Outcome {
  readonly readyMs: number;
  readonly workerMb: number;
  readonly primaryMb: number;
  readonly workerAfterMb: number;
  readonly primaryAfterMb: number;
  readonly changeMs: readonly number[];
}

let parts: Parts;

await runToEnd(async (later) => {
  parts = await Parts.open(consul);
  later(() => parts.close());

  const none = await run(0);
  await fill();
  const many = await run(hosts);
  const line = (name: string, one: Outcome) => [
    name,
    (one.readyMs / 1000).toFixed(2),
    one.workerMb.toFixed(0),
    one.workerAfterMb.toFixed(0),
    one.primaryMb.toFixed(0),
    one.primaryAfterMb.toFixed(0),
    quantile(one.changeMs, 0.5).toFixed(1),
    quantile(one.changeMs, 0.99).toFixed(1),
  ];
  const head = [
    "host documents",
    "start to ready s",
    "worker MB",
    "worker MB later",
    "primary MB",
    "primary MB later",
    "one change ms, median",
    "p99",
  ];
  const words = `${consul === "real" ? "Real Consul" : "Embedded agent"}, 2 workers. Memory is resident memory (RSS), of the larger worker, once the gateway is ready and later: after ${changes} changes of one document and ${requests} small requests.`;
  const rows = [line("1", none), line(`${hosts + 1}`, many)];
  report(section("Many hosts", words, table(head, rows)), write);
});

/** Documents of a usual shape, under names that nothing else has. */
async function fill(): Promise<void> {
  const entries = Array.from({ length: hosts }, (_, at) => {
    const paths = {
      "/": "home",
      "/api": { upstream: "home" },
      [`/shop/${at}`]: { split: { home: 9, other: 1 } },
    };
    return [`hosts/host${at}.example`, { paths }] as const;
  });
  await parts.writes.putAll(entries);
}

async function run(count: number): Promise<Outcome> {
  const startedMs = performance.now();
  const gateway = await parts.start();
  const readyMs = performance.now() - startedMs;
  const last = count === 0 ? homeHost : `host${count - 1}.example`;
  const { status } = await gateway.request({ host: last });
  if (status !== 200) throw new Error(`${last} is not served: ${status}`);
  const pids = (await gateway.status()).workers.map(({ pid }) => pid);
  const worker = () => Math.max(...pids.map((pid) => memoryOf(pid).resident));
  const primary = () => memoryOf(gateway.pid).resident;
  const before = { workerMb: worker(), primaryMb: primary() };

  const workers = await parts.workers();
  const changeMs: number[] = [];
  for (let at = 0; at < changes; at += 1) {
    const path = `/changed/${at}`;
    const put = () => parts.writes.put("hosts/changed.example", { paths: { [path]: "home" } });
    const sought = { host: "changed.example", path, arrived: (code: number) => code === 200 };
    changeMs.push(await timeChange(workers, put, sought));
    await sleep(50);
  }
  workers.close();
  await ask(gateway.httpPort);
  const outcome = {
    readyMs,
    ...before,
    workerAfterMb: worker(),
    primaryAfterMb: primary(),
    changeMs,
  };
  await gateway.stop();
  return outcome;
}

async function ask(port: number): Promise<void> {
  const agents = Array.from(
    { length: concurrency },
    () => new Agent({ keepAlive: true, maxSockets: 1 }),
  );
  let left = requests;
  await Promise.all(
    agents.map(async (agent) => {
      for (; left > 0; left -= 1) await send(port, { host: homeHost, agent });
      agent.destroy();
    }),
  );
}
