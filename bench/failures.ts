/**
 * What clients notice when one of four servers fails under a steady load: killed, paused, answering 500 to half, slow. Beside
 * nginx with equal settings. And: whether a request fails while an upstream of 50 servers changes 20 times a second.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import { runToEnd } from "./end-to-end/ending.ts";
import { report, section, table } from "./end-to-end/measurements.ts";
import { Parts } from "./end-to-end/parts.ts";
import { type Choice, type Contender, nginx, settings, sluice } from "./failures/contenders.ts";
import { OpenLoad, type Sent } from "./failures/open-load.ts";
import { OriginProcess } from "./failures/origins.ts";
import { host } from "./http/processes.ts";

const options = new Command("failures")
  .option("--rate <n>", "requests a second", Number, 2_000)
  .option("--hold <seconds>", "how long a server fails", Number, 10)
  .option("--changes <seconds>", "how long an upstream changes; 0: leaves that out", Number, 60)
  .option("--only <name>", "sluice or nginx alone")
  .option("--write", "append the tables to the page of the day in bench/results", false)
  .parse()
  .opts<{ rate: number; hold: number; changes: number; only?: string; write: boolean }>();

interface Case {
  readonly name: string;
  readonly choice: Choice;
  readonly only?: string;
  fail(origin: OriginProcess): void;
  heal(origin: OriginProcess): Promise<void> | void;
}

const plain: Choice = { policy: "wrr", retries500: false };
const slow = {
  fail: (origin: OriginProcess) => origin.tell("slow"),
  heal: (origin: OriginProcess) => origin.tell("well"),
};
const cases: readonly Case[] = [
  {
    name: "kill -9",
    choice: plain,
    fail: (origin) => origin.signal("SIGKILL"),
    heal: (origin) => origin.start(),
  },
  {
    name: "SIGSTOP",
    choice: plain,
    fail: (origin) => origin.signal("SIGSTOP"),
    heal: (origin) => origin.signal("SIGCONT"),
  },
  {
    name: "500 to half, tried elsewhere (http_500)",
    choice: { ...plain, retries500: true },
    fail: (origin) => origin.tell("half-500"),
    heal: (origin) => origin.tell("well"),
  },
  { name: "slow by 200 ms", choice: plain, ...slow },
  { name: "slow by 200 ms, least_conn", choice: { ...plain, policy: "least_conn" }, ...slow },
  { name: "slow by 200 ms, ewma", choice: { ...plain, policy: "ewma" }, only: "sluice", ...slow },
];

const warmMs = 3_000;
/** Longer than a server is out once, so that it is tried again and comes back. */
const backMs = (settings.failTimeout * 2 + 2) * 1_000;
/** What counts as noticed by a client. */
const slowMs = 100;

await runToEnd(async (later) => {
  const parts = await Parts.open("embedded");
  later(() => parts.close());
  const gateway = await parts.start(["--workers", String(settings.workers)]);
  const contenders = [sluice(parts, gateway.httpPort), nginx()].filter(
    ({ name }) => options.only === undefined || name === options.only,
  );
  const rows: string[][] = [];
  for (const one of cases)
    for (const contender of contenders) {
      if (one.only !== undefined && one.only !== contender.name) continue;
      rows.push([one.name, contender.name, ...(await run(one, contender, later))]);
      console.error(rows.at(-1)?.join(" | "));
    }
  const head = [
    "one of four servers is",
    "",
    "requests",
    "failed",
    `slower than ${slowMs} ms`,
    "slowest, ms",
    "taken out after, ms",
    "last noticed after, ms",
    "answers again after, ms",
  ];
  const { failTimeout, connectTimeout, readTimeout, workers } = settings;
  const words = `${options.rate} GETs a second, four servers, ${workers} workers each; max_fails 1, fail_timeout ${failTimeout} s, connect ${connectTimeout} s, read ${readTimeout} s, four tries, no active checks. The server fails for ${options.hold} s. Taken out: as its log says. Last noticed: from the failure to the last request that failed or was slow. Answers again: from the moment when it is well to its first answer.`;
  report(section("Servers that fail", words, table(head, rows)), options.write);
  if (options.changes === 0 || options.only === "nginx") return;
  const changed = await changing(parts, gateway.httpPort, later);
  const about = `An upstream of 50 servers, of which some leave, come and have other weights 20 times a second for ${options.changes} s, under ${options.rate / 2} GETs a second.`;
  const heads = ["changes", "requests", "failed", `slower than ${slowMs} ms`, "slowest, ms"];
  report(section("An upstream that changes", about, table(heads, [changed])), options.write);
});

async function run(
  { choice, fail, heal }: Case,
  contender: Contender,
  later: (end: () => unknown) => void,
): Promise<string[]> {
  const origins = ["a", "b", "c", "d"].map((name) => new OriginProcess(name));
  const [first] = origins;
  if (first === undefined) throw new Error("there are four");
  const stopAll = () => Promise.all(origins.map((origin) => origin.stop()));
  later(stopAll);
  for (const origin of origins) await origin.start();
  const port = await contender.open(
    origins.map((origin) => origin.port),
    choice,
  );
  const load = new OpenLoad(port, host, options.rate);
  await sleep(warmMs);
  const failedAt = performance.now();
  const failedEpochMs = Date.now();
  fail(first);
  await sleep(options.hold * 1_000);
  await heal(first);
  const healedAt = performance.now();
  await sleep(backMs);
  const sent = await load.stop();
  const outAt = contender.outAt(first.port, failedEpochMs);
  await contender.close();
  await stopAll();
  const noticed = sent.filter((one) => one.atMs >= failedAt && isNoticed(one));
  const last = Math.max(0, ...noticed.map(({ atMs, tookMs }) => atMs + tookMs - failedAt));
  const back = sent
    .filter(({ origin, atMs, tookMs }) => origin === first.name && atMs + tookMs > healedAt)
    .map(({ atMs, tookMs }) => atMs + tookMs - healedAt);
  return [
    ...summary(sent.filter(({ atMs }) => atMs >= failedAt - 500)),
    outAt === null ? "" : String(outAt - failedEpochMs),
    last.toFixed(0),
    back.length === 0 ? "not within the time" : Math.min(...back).toFixed(0),
  ];
}

function isNoticed({ status, tookMs }: Sent): boolean {
  return status !== 200 || tookMs > slowMs;
}

function summary(sent: readonly Sent[]): string[] {
  const failed = sent.filter(({ status }) => status !== 200).length;
  const late = sent.filter(({ tookMs }) => tookMs > slowMs).length;
  const slowest = sent.reduce((most, { tookMs }) => Math.max(most, tookMs), 0);
  return [sent.length, failed, late, Math.round(slowest)].map(String);
}

async function changing(
  parts: Parts,
  port: number,
  later: (end: () => unknown) => void,
): Promise<string[]> {
  const many = new OriginProcess("many");
  later(() => many.stop());
  await many.start(50);
  const write = () => {
    const servers = many.ports
      .filter(() => Math.random() < 0.9)
      .map((one) => ({ host: "127.0.0.1", port: one, weight: 1 + Math.floor(Math.random() * 5) }));
    return parts.writes.put("upstreams/changing", { servers });
  };
  await write();
  await parts.writes.put(`hosts/${host}`, { paths: { "/": "changing" } });
  await parts.gateway.caughtUp();
  const { version: before } = await parts.gateway.status();
  const load = new OpenLoad(port, host, options.rate / 2);
  const endMs = performance.now() + options.changes * 1_000;
  for (let due = performance.now(); due < endMs; due += 50) {
    await write();
    await sleep(Math.max(0, due + 50 - performance.now()));
  }
  const sent = await load.stop();
  const { version } = await parts.gateway.caughtUp();
  return [String(version - before), ...summary(sent)];
}
