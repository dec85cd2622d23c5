/**
 * What hostile scripts cost the others: `node bench/attacks.ts [--seconds N] [--write]`. A gateway with two
 * workers; a host without a script is asked at a steady rate, first alone, then beside a host whose
 * script attacks, which is asked at a rate of its own, one kind of attack after the other. Rates are
 * low: what is measured is how long the worker is away, not what it can do.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { parseArgs } from "node:util";
import { startOrigin } from "./http/origin.ts";
import { Processes, workersOf } from "./http/processes.ts";
import { Results } from "./http/results.ts";
import { attacks, scriptOf, syntax } from "./scripts/attacks.ts";
import { startGateway } from "./scripts/gateway.ts";
import { type Answer, SteadyClient } from "./scripts/steady-client.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "6" },
    write: { type: "boolean", default: false },
  },
});
const results = new Results(import.meta.filename, values.write);
const seconds = Number(values.seconds);
/** The first part of the time is shown by itself: a script that keeps failing is left alone after it. */
const firstMs = (seconds * 1_000) / 3;
/** Requests a second. */
const fastRate = 500;
const attackRate = 50;

const processes = new Processes();
const directory = await mkdtemp(join(tmpdir(), "sluice-bench-"));
const client = new SteadyClient();
const load = (port: number, host: string, rate: number) =>
  client.load({ port, host, rate, seconds });

/** The kernel counts a process's most resident memory; it begins anew from what it is now. */
function forgetPeaks(pid: number): void {
  for (const worker of workersOf(pid)) writeFileSync(`/proc/${worker}/clear_refs`, "5");
}

/** The most that one of the workers there are took since, in megabytes. */
function peakMegabytes(pid: number): string {
  const peaks = workersOf(pid).map((worker) => {
    const status = readFileSync(`/proc/${worker}/status`, "utf8");
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1024;
  });
  return Math.max(...peaks).toFixed(0);
}

function row(
  name: string,
  fast: readonly Answer[],
  attacked: readonly Answer[],
  result: string,
  megabytes: string,
): string {
  const sorted = (answers: readonly Answer[]) => answers.map(({ ms }) => ms).sort((a, b) => a - b);
  const first = sorted(fast.filter(({ atMs }) => atMs < firstMs));
  const later = sorted(fast.filter(({ atMs }) => atMs >= firstMs));
  const at = (list: readonly number[], part: number) =>
    (list[Math.min(list.length - 1, Math.floor(list.length * part))] ?? 0).toFixed(1);
  const failed = fast.filter(({ status }) => status !== 200).length;
  const statuses = new Map<number, number>();
  for (const { status } of attacked) statuses.set(status, (statuses.get(status) ?? 0) + 1);
  const answers = Array.from(statuses, ([status, count]) => `${count} x ${status}`).join(", ");
  const cells = [name, result, answers, at(sorted(fast), 1), megabytes, failed];
  cells.push(at(first, 0.5), at(first, 0.99), at(later, 0.5), at(later, 0.99));
  return `| ${cells.join(" | ")} |`;
}

/** What the attack came to, in the gateway's own words. Workers report once a second. */
async function resultOf(adminUrl: string, host: string): Promise<string> {
  const untilMs = performance.now() + 2_500;
  for (;;) {
    const result = await errorOf(adminUrl, host);
    if (result !== null || performance.now() > untilMs) return result ?? "no error";
    await setTimeout(100);
  }
}

async function errorOf(adminUrl: string, host: string): Promise<string | null> {
  const answer = await fetch(`${adminUrl}/status`);
  const { scripts } = (await answer.json()) as {
    readonly scripts: readonly {
      readonly host: string;
      readonly lastError: string | null;
      readonly outOfService: string | null;
    }[];
  };
  const found = scripts.find((script) => script.host === host);
  const text = found?.outOfService ?? found?.lastError ?? "no error";
  return text
    .replace(/^scripts\/[^ ]+ /, "")
    .replaceAll("|", "\\|")
    .slice(0, 80);
}

try {
  await chmod(directory, 0o755);
  const originPort = await startOrigin(processes, 1, directory);
  const all: Readonly<Record<string, string>> = { ...attacks, ...syntax };
  const names = Object.keys(all);
  const hosts: Record<string, string | null> = { "fast.example": null };
  for (const [at, name] of names.entries()) {
    hosts[`attack${at}.example`] = scriptOf(all[name] ?? "");
  }
  const gateway = await startGateway({
    ...{ processes, directory, originPort, hosts },
    ...{ core: "0,1", otherCore: 1, workers: 2 },
  });
  const before = workersOf(gateway.pid).slice(0, 2);
  await load(gateway.port, "fast.example", fastRate);
  results.say(
    `${seconds} s each; a fast host at ${fastRate}/s, the attacked one at ${attackRate}/s\n`,
  );
  const heads = [
    "beside",
    "result",
    "answers",
    "longest stall of the other host, ms",
    "MB at most",
  ];
  heads.push("its failures", "p50 ms at first", "p99", "p50 later", "p99");
  results.say(`| ${heads.join(" | ")} |`);
  results.say(`| --- | --- | --- |${" ---: |".repeat(heads.length - 3)}`);
  const alone = async (name: string) => {
    forgetPeaks(gateway.pid);
    const fast = await load(gateway.port, "fast.example", fastRate);
    results.say(row(name, fast, [], "", peakMegabytes(gateway.pid)));
  };
  await alone("nothing");
  for (const [at, name] of names.entries()) {
    forgetPeaks(gateway.pid);
    const [fast, attacked] = await Promise.all([
      load(gateway.port, "fast.example", fastRate),
      load(gateway.port, `attack${at}.example`, attackRate),
    ]);
    const megabytes = peakMegabytes(gateway.pid);
    const result = await resultOf(gateway.admin, `attack${at}.example`);
    results.say(row(name, fast, attacked, result, megabytes));
  }
  await alone("nothing, at the end");
  const lost = before.filter((pid) => !workersOf(gateway.pid).includes(pid));
  results.say(`workers that ended: ${lost.length}`);
} finally {
  client.close();
  await processes.stop();
  await rm(directory, { recursive: true, force: true });
}
