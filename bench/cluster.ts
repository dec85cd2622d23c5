/**
 * A real cluster through its faults, under steady traffic: how many requests fail, and how long the truth takes to be back in
 * every worker. The long form of `test/e2e/cluster.test.ts`; needs root, network namespaces, Consul and a Docker engine.
 */
import { Command } from "commander";
import { Cluster, whyNoCluster } from "../test/support/cluster/cluster.ts";
import { runToEnd } from "./end-to-end/ending.ts";
import { report, section, table } from "./end-to-end/measurements.ts";
import { positive } from "./http/options.ts";

const { rounds, seconds, rate, write } = new Command("cluster")
  .option("--rounds <n>", "how often each fault happens, but for the last", positive, 3)
  .option(
    "--seconds <n>",
    "how long there is no majority, and how long a gateway is cut off",
    positive,
    60,
  )
  .option("--rate <n>", "requests a second to each gateway", positive, 200)
  .option("--write", "append the table to its page of the day in bench/results", false)
  .parse()
  .opts<{ rounds: number; seconds: number; rate: number; write: boolean }>();

await runToEnd(async (later) => {
  const missing = whyNoCluster();
  if (missing !== null) throw new Error(`no cluster: ${missing}`);
  const cluster = await Cluster.open({ perSecond: rate });
  later(() => cluster.close());
  for (let round = 0; round < rounds; round += 1) {
    await cluster.killLeader();
    await cluster.killMajority(seconds * 1_000);
    await cluster.cutGateway(seconds * 1_000);
  }
  // Last: for five minutes after that, what is missing is held, as it may only not be back yet (docs/consul.md).
  await cluster.wipe();
  const ms = (values: readonly number[]) => values.map((value) => Math.round(value)).join(", ");
  const faults = [...new Set(cluster.results.map(({ fault }) => fault))].map((fault) => {
    const all = cluster.results.filter((one) => one.fault === fault);
    return [
      fault,
      ms(all.map(({ consulMs }) => consulMs)),
      ms(all.map(({ gatewaysMs }) => gatewaysMs)),
    ];
  });
  const traffic = Array.from(await cluster.endTraffic(), ([name, { good, failures, repeated }]) => [
    name,
    String(good),
    String(Object.values(failures).reduce((sum, count) => sum + count, 0)),
    String(repeated),
  ]);
  const words = `Three Consul servers, an agent, a registrator, two gateways whose clocks are an hour apart, ${rate} requests a second to each; ${seconds} s without a majority, and cut off from Consul. Milliseconds from the end of the fault until Consul has the truth, and from then until every worker has it, in each round.`;
  const body = [
    table(["fault", "Consul", "then all workers"], faults),
    table(["traffic", "answered", "failed", "sent once more"], traffic),
  ];
  report(section("Faults of a cluster", words, body.join("\n\n")), write);
});
