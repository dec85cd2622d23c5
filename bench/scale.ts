/**
 * Discovery at scale: how long a change of a service takes from the write into real Consul to the first answer
 * and to the first answer of every worker, and what that costs Consul and the gateway.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import { startRealConsul } from "../test/support/consul.ts";
import { EchoOrigin } from "../test/support/echo-origin.ts";
import { TestGateway } from "../test/support/gateway.ts";
import { seeded } from "../test/support/random.ts";
import { WorkerConnections } from "../test/support/worker-connections.ts";
import { runToEnd } from "./end-to-end/ending.ts";
import { quantile, report, section, table } from "./end-to-end/measurements.ts";
import { positive } from "./http/options.ts";
import { Cluster, type Placed, type Shape } from "./scale/cluster.ts";
import { changes, requests } from "./scale/load.ts";
import { connectionsTo, residentMegabytes, watchProcessor } from "./scale/usage.ts";

const options = new Command("scale")
  .option(
    "--services <list>",
    "numbers of services, with commas",
    wholes,
    [100, 500, 2_500, 10_000],
  )
  .option("--instances <n>", "of each service", positive, 4)
  .option("--nodes <n>", "that they are spread over", positive, 60)
  .option("--rounds <n>", "measured services, five changes each", positive, 30)
  .option("--rate <n>", "other changes a second meanwhile", positive, 20)
  .option("--requests <n>", "requests a second meanwhile", positive, 130)
  .option("--watches <n>", "blocking queries for services (--max-service-watches)", positive, 100)
  .option("--at-once <n>", "first requests at once", positive, 4)
  .option("--rest <s>", "seconds at rest", positive, 20)
  .option("--write", "append the table to its page of the day in bench/results", false)
  .parse()
  .opts<{
    services: readonly number[];
    instances: number;
    nodes: number;
    rounds: number;
    rate: number;
    requests: number;
    atOnce: number;
    watches: number;
    rest: number;
    write: boolean;
  }>();

/** What a measured instance weighs beside the others: it is picked at once when it serves. */
const heavy = 1_000;
/** Between two questions to a worker. */
const askPauseMs = 2;
const patienceMs = 120_000;

interface Seen {
  readonly firstMs: number;
  readonly everyMs: number;
}

const rows: string[][] = [];
const head = [
  "services x instances",
  "first request, median / p99 ms",
  "a later one, median / p99 ms",
  "change to first answer, median / p99 ms",
  "change to every worker, median / p99 ms",
  "highest ms",
  "Consul at rest, % of a core",
  `at ${options.rate}/s, %`,
  "Consul MB",
  "primary at rest, %",
  `at ${options.rate}/s, %`,
  "primary MB",
  "connections",
  "failed",
];

await runToEnd(async (later) => {
  const origins: EchoOrigin[] = [];
  for (const name of ["usual", "second", "third", "home"]) {
    const origin = await EchoOrigin.start(name);
    later(() => origin.close());
    origins.push(origin);
  }
  for (const services of options.services) {
    const ends: (() => unknown)[] = [];
    later(() => endAll(ends));
    const shape = { services, instances: options.instances, nodes: options.nodes };
    rows.push(await measure(shape, origins, (end) => ends.push(end)));
    console.error(rows.at(-1)?.join(" | "));
    await endAll(ends);
  }
  const words = `Real Consul in its default configuration, ${options.nodes} nodes, 2 workers, every service in use, ${options.requests} requests and ${options.rate} other changes a second. Changes: an instance comes, moves to another port, turns critical, recovers, goes.`;
  report(section("Discovery at scale", words, table(head, rows)), options.write);
});

async function endAll(ends: (() => unknown)[]): Promise<void> {
  for (let end = ends.pop(); end !== undefined; end = ends.pop()) await end();
}

async function measure(
  shape: Shape,
  origins: readonly EchoOrigin[],
  later: (end: () => unknown) => void,
): Promise<string[]> {
  const [usual, second, third, home] = origins.map(({ port }) => port) as [
    number,
    number,
    number,
    number,
  ];
  const consul = await startRealConsul();
  later(() => consul.stop());
  const cluster = new Cluster(consul.port, shape);
  later(() => cluster.close());
  await cluster.fill(usual);
  await cluster.register({ service: "home", id: "home", node: 0, port: home });
  const flags = [
    ...["--expose", "all", "--max-requests-per-connection", "0"],
    ...["--max-service-watches", String(options.watches)],
  ];
  const gateway = TestGateway.launch({ consul: consul.url, flags });
  later(() => gateway.stop());
  await gateway.ready();
  const random = seeded(1);

  const first = await askAll(gateway, cluster);
  const again = await askAll(gateway, cluster);
  const load = requests(gateway, cluster, options.requests, random);
  // What the first requests began may still be under way.
  await sleep(5_000);
  const resting = [watchProcessor(consul.pid), watchProcessor(gateway.pid)];
  await sleep(options.rest * 1_000);
  const atRest = resting.map((share) => share());

  const workers = await WorkerConnections.open(gateway, "home");
  later(() => workers.close());
  const stopChanges = changes(cluster, usual, options.rate, random);
  const working = [watchProcessor(consul.pid), watchProcessor(gateway.pid)];
  const seen: Seen[] = [];
  for (let round = 0; round < options.rounds; round += 1) {
    const service = cluster.nameOf(Math.floor(random() * shape.services));
    const node = Math.floor(random() * shape.nodes);
    const placed: Placed = {
      service,
      id: `${service}-measured`,
      node,
      port: second,
      weight: heavy,
    };
    const steps: readonly (readonly [() => Promise<void>, (origin: string) => boolean])[] = [
      [() => cluster.register(placed), (origin) => origin === "second"],
      [() => cluster.register({ ...placed, port: third }), (origin) => origin === "third"],
      [
        () => cluster.register({ ...placed, port: third, status: "critical" }),
        (origin) => origin === "usual",
      ],
      [() => cluster.register({ ...placed, port: third }), (origin) => origin === "third"],
      [() => cluster.deregister(placed), (origin) => origin === "usual"],
    ];
    for (const [change, arrived] of steps) {
      seen.push(await timeOf(workers, service, change, arrived));
      await sleep(random() * 100);
    }
  }
  const underLoad = working.map((share) => share());
  const connections = connectionsTo(consul.port);
  await stopChanges();
  await load.stop();
  const both = (values: readonly number[]) =>
    `${quantile(values, 0.5).toFixed(1)} / ${quantile(values, 0.99).toFixed(1)}`;
  const [consulRest = 0, primaryRest = 0] = atRest;
  const [consulBusy = 0, primaryBusy = 0] = underLoad;
  return [
    `${shape.services} x ${shape.instances}`,
    both(first),
    both(again),
    both(seen.map(({ firstMs }) => firstMs)),
    both(seen.map(({ everyMs }) => everyMs)),
    Math.max(...seen.map(({ everyMs }) => everyMs)).toFixed(0),
    consulRest.toFixed(1),
    consulBusy.toFixed(1),
    residentMegabytes(consul.pid).toFixed(0),
    primaryRest.toFixed(1),
    primaryBusy.toFixed(1),
    residentMegabytes(gateway.pid).toFixed(0),
    String(connections),
    String(load.failed),
  ];
}

/** How long each service takes to answer, some asked at once. */
async function askAll(gateway: TestGateway, cluster: Cluster): Promise<number[]> {
  const times: number[] = [];
  let next = 0;
  const ask = async () => {
    for (let at = next++; at < cluster.shape.services; at = next++) {
      const startMs = performance.now();
      const host = cluster.nameOf(at);
      for (;;) {
        const { status, body } = await gateway.request({ host });
        if (status === 200) break;
        // Its time goes on: on a machine that is busy with other things, too, a service may be late.
        if (performance.now() - startMs > patienceMs) throw new Error(`${host}: ${status} ${body}`);
      }
      times.push(performance.now() - startMs);
    }
  };
  await Promise.all(Array.from({ length: options.atOnce }, ask));
  return times;
}

/** From before the write to each worker's first answer that shows it. */
async function timeOf(
  workers: WorkerConnections,
  host: string,
  change: () => Promise<void>,
  arrived: (origin: string) => boolean,
): Promise<Seen> {
  const startMs = performance.now();
  const polls = workers.prefixes.map(async (prefix) => {
    let [inARow, sinceMs] = [0, 0];
    // An answer may come from an instance of little weight by its turn: two in a row may not.
    while (inARow < 2) {
      const { body } = await workers.ask(prefix, { host });
      const nowMs = performance.now();
      if (!arrived(originIn(body))) inARow = 0;
      else {
        if (inARow === 0) sinceMs = nowMs;
        inARow += 1;
      }
      if (nowMs - startMs > patienceMs) throw new Error(`${host}: not seen after ${patienceMs} ms`);
      await sleep(askPauseMs);
    }
    return sinceMs - startMs;
  });
  const [, ...times] = await Promise.all([change(), ...polls]);
  return { firstMs: Math.min(...times), everyMs: Math.max(...times) };
}

function originIn(body: string): string {
  return /"origin":"(\w+)"/.exec(body)?.[1] ?? "";
}

function wholes(text: string): readonly number[] {
  return text.split(",").map(positive);
}
