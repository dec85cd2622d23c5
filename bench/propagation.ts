/**
 * How long a change in Consul takes until every worker acts on it: a new service, a further instance of
 * a known one, a script, a host document.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Command, Option } from "commander";
import { EchoOrigin } from "../test/support/echo-origin.ts";
import type { WorkerConnections } from "../test/support/worker-connections.ts";
import { runToEnd } from "./end-to-end/ending.ts";
import { quantile, report, section, table } from "./end-to-end/measurements.ts";
import { type ConsulName, consulNames, Parts, timeChange } from "./end-to-end/parts.ts";
import { positive } from "./http/options.ts";

const { consul, changes, write } = new Command("propagation")
  .addOption(new Option("--consul <kind>").choices(consulNames).default("real"))
  .option("--changes <n>", "changes of each kind", positive, 200)
  .option("--write", "append the table to its page of the day in bench/results", false)
  .parse()
  .opts<{ consul: ConsulName; changes: number; write: boolean }>();

/** Between two changes: longer than what the first leaves to do, shorter than a watch's patience. */
const pauseMs = 40;
const targetsMs = { service: 100, script: 150 };

let parts: Parts;
let second: EchoOrigin;

await runToEnd(async (later) => {
  parts = await Parts.open(consul);
  later(() => parts.close());
  second = await EchoOrigin.start("second");
  later(() => second.close());

  await parts.start(["--expose", "all"]);
  const workers = await parts.workers();
  const rows = [
    row(
      "a further instance of a service",
      targetsMs.service,
      await measure(changes, instance(workers, "known")),
    ),
    row("a script", targetsMs.script, await measure(changes, script(workers))),
    row("a host document", null, await measure(changes, document(workers))),
    row(
      "a service with a new name",
      targetsMs.service,
      await measure(changes, newService(workers)),
    ),
  ];
  // All those services are still in use, though gone: one more is beyond the gateway's blocking queries.
  const { services } = await parts.gateway.status();
  const few = Math.ceil(changes / 20);
  const polled = await measure(few, instance(workers, "one-more"));
  const name = `a further instance, ${services.inUse} other services in use (${few} changes)`;
  rows.push(row(name, null, polled));
  workers.close();
  const head = [
    "ms from the write to the last worker",
    "median",
    "p99",
    "highest",
    "target for p99",
  ];
  const words = `${consul === "real" ? "Real Consul" : "Embedded agent"}, 2 workers, ${changes} changes of each kind, one at a time; each worker is asked over a connection of its own until it acts on the change.`;
  report(section("From Consul to every worker", words, table(head, rows)), write);
});

async function measure(count: number, once: (at: number) => Promise<number>): Promise<number[]> {
  const times: number[] = [];
  for (let at = 0; at < count; at += 1) {
    times.push(await once(at));
    await sleep(pauseMs);
  }
  return times;
}

/** Nobody watches it before its first request, which comes as soon as the catalog has it. */
function newService(workers: WorkerConnections) {
  return async (at: number) => {
    const name = `new-${at}`;
    const register = () => parts.writes.register({ name, port: parts.origin.port });
    const took = await timeChange(workers, register, { host: name, arrived: isWell });
    await parts.writes.deregister(name);
    return took;
  };
}

function instance(workers: WorkerConnections, name: string) {
  const host = name;
  return async (at: number) => {
    await parts.writes.register({ id: `${name}-1`, name, port: parts.origin.port });
    await timeChange(workers, async () => {}, { host, arrived: isOf("origin") });
    await sleep(pauseMs);
    const id = `${name}-2-${at}`;
    // With its weight it is chosen by the next request or the one after that.
    const register = () => parts.writes.register({ id, name, port: second.port, weight: 100 });
    const took = await timeChange(workers, register, { host, arrived: isOf("second") });
    await parts.writes.deregister(id);
    await settleOn(workers, host);
    return took;
  };
}

/** Waits until only the first instance is left. */
async function settleOn(workers: WorkerConnections, host: string): Promise<void> {
  for (const prefix of workers.prefixes)
    for (let inARow = 0; inARow < 5; ) {
      const { body } = await workers.ask(prefix, { host });
      inARow = isOf("origin")(200, body) ? inARow + 1 : 0;
    }
}

function script(workers: WorkerConnections) {
  return (at: number) => {
    const text = `export default () => respond({ body: "script ${at}" });`;
    const put = () => parts.writes.put("scripts/scripted.example", text);
    const arrived = (_status: number, body: string) => body === `script ${at}`;
    return timeChange(workers, put, { host: "scripted.example", arrived });
  };
}

function document(workers: WorkerConnections) {
  return (at: number) => {
    const put = () => parts.writes.put("hosts/document.example", { paths: { [`/${at}`]: "home" } });
    return timeChange(workers, put, {
      host: "document.example",
      path: `/${at}`,
      arrived: isWell,
    });
  };
}

function isWell(status: number): boolean {
  return status === 200;
}

function isOf(origin: string) {
  return (_status: number, body: string) => body.includes(`"origin":"${origin}"`);
}

function row(name: string, targetMs: number | null, times: readonly number[]): string[] {
  const values = [quantile(times, 0.5), quantile(times, 0.99), Math.max(...times)];
  return [name, ...values.map((ms) => ms.toFixed(1)), targetMs === null ? "" : `${targetMs}`];
}
