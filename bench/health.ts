/**
 * What active checks cost: the primary's processor time with 5,000 servers that are checked every 5 seconds, and what requests
 * through the workers notice of it, beside the same gateway without checks.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Command, Option } from "commander";
import { checkTypes } from "../gateway/model/index.ts";
import { runToEnd } from "./end-to-end/ending.ts";
import { quantile, report, section, table } from "./end-to-end/measurements.ts";
import { homeHost, Parts } from "./end-to-end/parts.ts";
import { OpenLoad } from "./failures/open-load.ts";
import { OriginProcess } from "./failures/origins.ts";
import { cpuSeconds } from "./http/processes.ts";

const options = new Command("health")
  .option("--servers <n>", "servers that are checked", Number, 5_000)
  .option("--interval <seconds>", "between two checks of a server", Number, 5)
  .addOption(
    new Option("--type <name>", "of the checks")
      .choices(checkTypes.filter((type) => type === "general" || type === "http"))
      .default("http"),
  )
  .option("--rate <n>", "requests a second through the workers", Number, 500)
  .option("--seconds <n>", "how long each of the two is measured", Number, 30)
  .option("--write", "append the table to the page of the day in bench/results", false)
  .parse()
  .opts<{
    servers: number;
    interval: number;
    type: string;
    rate: number;
    seconds: number;
    write: boolean;
  }>();

/** Servers of one document. */
const inUpstream = 100;

await runToEnd(async (later) => {
  const parts = await Parts.open("embedded");
  later(() => parts.close());
  const checked = new OriginProcess("checked");
  later(() => checked.stop());
  await checked.start();
  const gateway = await parts.start();
  const rows = [await measure("none")];
  const check = { type: options.type, interval: options.interval, timeout: 2 };
  const documents = Array.from({ length: Math.ceil(options.servers / inUpstream) }, (_, at) => {
    const count = Math.min(inUpstream, options.servers - at * inUpstream);
    const servers = Array.from({ length: count }, (_, index) => ({
      host: `127.10.${at}.${index + 1}`,
      port: checked.port,
    }));
    return [`upstreams/checked-${at}`, { servers, check }] as const;
  });
  await parts.writes.putAll(documents);
  await gateway.statusWhen(
    "each was checked",
    ({ health }) => health.checks.done >= options.servers,
  );
  const before = (await gateway.status()).health.checks;
  const row = await measure(`${options.servers} servers every ${options.interval} s`);
  const { health } = await gateway.status();
  const perSecond = (health.checks.done - before.done) / options.seconds;
  rows.push([...row.slice(0, 1), perSecond.toFixed(0), ...row.slice(2)]);
  const head = [
    `checks (${options.type})`,
    "checks a second",
    "primary, % of a core",
    "workers, % of a core",
    "median, ms",
    "p99, ms",
    "p99.9, ms",
  ];
  const words = `${options.rate} GETs a second through 2 workers to one origin for ${options.seconds} s. Failed checks: ${health.checks.failed - before.failed}; late for want of room: ${health.checks.late - before.late}.`;
  report(section("Active checks", words, table(head, rows)), options.write);

  async function measure(name: string): Promise<string[]> {
    const { workers } = await gateway.status();
    const pid = gateway.process.pid ?? 0;
    const used = () => ({
      primary: cpuSeconds(pid),
      workers: workers.reduce((sum, worker) => sum + cpuSeconds(worker.pid), 0),
    });
    const load = new OpenLoad(gateway.httpPort, homeHost, options.rate);
    await sleep(1_000);
    const first = used();
    await sleep(options.seconds * 1_000);
    const last = used();
    const times = (await load.stop()).map(({ tookMs }) => tookMs);
    const share = (seconds: number) => ((100 * seconds) / options.seconds).toFixed(1);
    return [
      name,
      "0",
      share(last.primary - first.primary),
      share(last.workers - first.workers),
      ...[0.5, 0.99, 0.999].map((part) => quantile(times, part).toFixed(1)),
    ];
  }
});
