/**
 * From a container to a client, all parts real: Docker Engine, registrator, Consul, gateway. How long
 * `docker run` takes to its first answer, and what a steady load sees of `docker stop`.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import { type DockerEngine, findDocker, startDocker } from "../test/support/docker.ts";
import { cleanEnvironment } from "../test/support/gateway.ts";
import { eventually, viewOf } from "../test/support/registered.ts";
import { type LoadResult, SteadyLoad } from "../test/support/steady-load.ts";
import { runToEnd } from "./end-to-end/ending.ts";
import { quantile, report, section, table } from "./end-to-end/measurements.ts";
import { Parts } from "./end-to-end/parts.ts";
import { positive } from "./http/options.ts";

const { runs, rate, stops, write } = new Command("docker-end-to-end")
  .option("--runs <n>", "containers that are run and timed", positive, 10)
  .option("--rate <n>", "requests a second over the stops", positive, 500)
  .option("--stops <n>", "stops of one of two containers, of each kind", positive, 3)
  .option("--write", "append the tables to its page of the day in bench/results", false)
  .parse()
  .opts<{ runs: number; rate: number; stops: number; write: boolean }>();

const cli = join(import.meta.dirname, "..", "gateway", "cli.ts");
/** Of load before and after a stop. */
const marginMs = 1_500;
const kept = 16;

if (findDocker() === null) throw new Error("no Docker Engine can be started here");
let docker: DockerEngine;
let parts: Parts;

await runToEnd(async (later) => {
  docker = await startDocker();
  later(() => docker.stop());
  parts = await Parts.open("real");
  later(() => parts.close());

  const registrator = startRegistrator(docker, parts.consul.url);
  later(() => endOf(registrator));
  await parts.start(["--expose", "all"]);
  const times = await timeRuns();
  const polite = await loadOverStops(2);
  const abrupt = await loadOverStops(0);
  const rows = [
    [
      "`docker run` to the first answer",
      times.ofAll.length,
      quantile(times.ofAll, 0.5).toFixed(0),
      Math.max(...times.ofAll).toFixed(0),
    ],
    [
      "of it, after the container has started",
      times.afterStart.length,
      quantile(times.afterStart, 0.5).toFixed(0),
      Math.max(...times.afterStart).toFixed(0),
    ],
  ];
  const loads = [load("serves for 2 s after SIGTERM", polite), load("dies at SIGTERM", abrupt)];
  const words =
    "Real Docker Engine, real Consul, `sluice registrator`, 2 workers; busybox httpd in the containers, published by docker-proxy.";
  const body = [
    table(["ms", "runs", "median", "highest"], rows),
    `\`docker stop\` of one of two containers, ${stops} times, under ${rate} requests a second, half of them over ${kept} kept connections and half over new ones:`,
    table(["the container", "requests", "failed", "which"], loads),
  ].join("\n\n");
  report(section("From a container to a client", words, body), write);
  // What dies in the middle of an answer leaves that answer cut, whoever passes it on.
  if (polite.failed > 0) process.exitCode = 1;
});

function startRegistrator(engine: DockerEngine, consul: string): ChildProcess {
  const child = spawn(
    process.execPath,
    [cli, "registrator", "--docker", engine.host, "--consul", consul, "--log-level", "warn"],
    { env: { ...cleanEnvironment }, stdio: ["ignore", "inherit", "inherit"] },
  );
  process.once("exit", () => child.kill("SIGKILL"));
  return child;
}

async function endOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  await ended;
}

/** Each container is a service of its own, which nobody has asked for before. */
async function timeRuns(): Promise<{ ofAll: number[]; afterStart: number[] }> {
  const ofAll: number[] = [];
  const afterStart: number[] = [];
  // The first one shows that the registrator runs, and warms up what is made once.
  for (let at = 0; at <= runs; at += 1) {
    const name = `run-${at}`;
    const startedMs = performance.now();
    const answered = firstAnswer(name);
    const container = await docker.run({ name, labels: { SERVICE_NAME: name } });
    const runningMs = performance.now();
    const answeredMs = await answered;
    if (at > 0) {
      ofAll.push(answeredMs - startedMs);
      afterStart.push(Math.max(0, answeredMs - runningMs));
    }
    await container.remove();
    await sleep(100);
  }
  return { ofAll, afterStart };
}

async function firstAnswer(name: string): Promise<number> {
  const deadlineMs = performance.now() + 30_000;
  for (;;) {
    const answer = await parts.gateway.request({ host: `${name}.service.consul` });
    const nowMs = performance.now();
    if (answer.status === 200 && answer.body === name) return nowMs;
    if (nowMs > deadlineMs) throw new Error(`${name}: ${answer.status} ${answer.body}`);
    await sleep(2);
  }
}

interface Stopped {
  readonly requests: number;
  readonly failed: number;
  readonly which: Readonly<Record<string, number>>;
}

async function loadOverStops(lingerSeconds: number): Promise<Stopped> {
  const view = viewOf(parts.consul.url);
  const service = `pair-${lingerSeconds}`;
  const run = (name: string) =>
    docker.run({ name, lingerSeconds, labels: { SERVICE_NAME: service } });
  const staying = await run(`${service}-stays`);
  const results: LoadResult[] = [];
  for (let at = 0; at < stops; at += 1) {
    const leaving = await run(`${service}-leaves-${at}`);
    let served = 0;
    await eventually("both are registered", async () => {
      const ids = (await view.ids()).filter((id) => id.includes(`:${service}-`));
      if (ids.length !== 2) throw new Error(ids.join());
    });
    const { gateway } = parts;
    await eventually("the service serves", async () => {
      const { status } = await gateway.request({ host: service });
      if (status !== 200) throw new Error(`status ${status}`);
    });
    const options = {
      port: gateway.httpPort,
      host: service,
      perSecond: rate / 2,
      judge: (status: number, body: string) => {
        if (body === leaving.name) served += 1;
        return status === 200 && body.startsWith(service) ? null : `${status} ${body.trim()}`;
      },
    };
    const loads = [new SteadyLoad({ ...options, kept }), new SteadyLoad({ ...options, kept: 0 })];
    await sleep(marginMs);
    if (served === 0) throw new Error(`${leaving.name} was sent nothing before its stop`);
    await leaving.stop(10);
    await sleep(marginMs);
    results.push(...(await Promise.all(loads.map((one) => one.stop()))));
    await leaving.remove();
  }
  await staying.remove();
  const which: Record<string, number> = {};
  for (const { failures } of results)
    for (const [why, count] of Object.entries(failures)) which[why] = (which[why] ?? 0) + count;
  const failed = Object.values(which).reduce((sum, count) => sum + count, 0);
  const good = results.reduce((sum, one) => sum + one.good, 0);
  return { requests: good + failed, failed, which };
}

function load(name: string, { requests, failed, which }: Stopped): (string | number)[] {
  const reasons = Object.entries(which).map(([why, count]) => `${count} × ${why}`);
  return [name, requests.toLocaleString("en-GB"), failed, reasons.join("; ")];
}
