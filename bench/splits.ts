/**
 * How a split of 90 to 10 falls over a whole gateway with two workers, and again behind a ramp: requests by h2load, counted
 * by the origins. `node bench/splits.ts`.
 */
import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { Command, Option } from "commander";
import { EchoOrigin } from "../test/support/echo-origin.ts";
import { runToEnd } from "./end-to-end/ending.ts";
import { report, section, table } from "./end-to-end/measurements.ts";
import { type ConsulName, consulNames, Parts } from "./end-to-end/parts.ts";
import { positive } from "./http/options.ts";

const run = promisify(execFile);
const host = "split.example";
const rampMs = 3_000;

const { consul, requests, write } = new Command("splits")
  .addOption(new Option("--consul <kind>").choices(consulNames).default("real"))
  .option("--requests <n>", "of each run", positive, 100_000)
  .option("--write", "append the table to its page of the day in bench/results", false)
  .parse()
  .opts<{ consul: ConsulName; requests: number; write: boolean }>();

await runToEnd(async (later) => {
  const parts = await Parts.open(consul);
  later(() => parts.close());
  const [one, two] = [await EchoOrigin.start("one"), await EchoOrigin.start("two")];
  later(() => Promise.all([one.close(), two.close()]));
  for (const [tag, origin] of [
    ["v1", one],
    ["v2", two],
  ] as const)
    await parts.writes.register({ id: tag, name: "split", port: origin.port, tags: [tag] });
  await parts.start();
  const workers = await parts.workers();
  later(() => workers.close());

  /** Puts the document, and waits until every worker splits by it. */
  async function put(v2: object): Promise<void> {
    const split = [
      { tag: "v1", share: 90 },
      { tag: "v2", ...v2 },
    ];
    const force = { path: { exact: "/is-live" }, headers: { "x-live": JSON.stringify(v2) } };
    await parts.writes.put(`hosts/${host}`, {
      routes: [{ match: force, upstream: "home" }],
      paths: { "/": { service: "split", split } },
    });
    const asked = { host, path: "/is-live", headers: { "x-live": JSON.stringify(v2) } };
    await workers.all("the split is live", asked, ({ headers }) => {
      if (headers["x-origin"] !== "origin") throw new Error(`from ${headers["x-origin"]}`);
    });
  }

  /** What version 2 got of the requests, in per cent. */
  async function share(): Promise<number> {
    const before = [one.requests, two.requests] as const;
    const url = `http://127.0.0.1:${parts.gateway.httpPort}/`;
    const flags = ["--h1", "-n", `${requests}`, "-c", "16", "-t", "1", "-H", `:authority: ${host}`];
    const { stdout } = await run("h2load", [...flags, url]);
    if (!stdout.includes(`${requests} succeeded`)) throw new Error(stdout);
    const [first, second] = [one.requests - before[0], two.requests - before[1]];
    return (100 * second) / (first + second);
  }

  const rows: string[][] = [];
  const line = (name: string, wanted: number, got: number) =>
    rows.push([name, wanted.toFixed(2), got.toFixed(2), (got - wanted).toFixed(2)]);
  await put({ share: 10 });
  line("90 to 10", 10, await share());
  const start = Date.now();
  const [from, to] = [start, start + rampMs].map((ms) => new Date(ms).toISOString());
  await put({ share: 60, ramp: { from: 10, start: from, end: to } });
  await sleep(Math.max(0, start + 2 * rampMs - Date.now()));
  line("behind a ramp from 10 to 60 beside 90", 40, await share());
  const words = `${consul === "real" ? "Real Consul" : "Embedded agent"}, 2 workers, ${requests} requests in each run. In per cent of the requests.`;
  const head = ["split", "wanted for v2", "got", "difference in points"];
  report(section("Splits", words, table(head, rows)), write);
});
