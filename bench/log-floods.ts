/**
 * What scripts that flood the log cost another host: `node bench/log-floods.ts [--seconds N] [--write]`, four times that long. A gateway with
 * two workers that writes its log and its access log to files; a host without a script is asked at a steady rate, first alone,
 * then beside a host whose script logs all that it may, then one that fails with each call, then thirty of both.
 */
import { chmod, mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { startOrigin } from "./http/origin.ts";
import { Processes, workersOf } from "./http/processes.ts";
import { Results } from "./http/results.ts";
import { startGateway } from "./scripts/gateway.ts";
import { quantile, SteadyClient } from "./scripts/steady-client.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "15" },
    write: { type: "boolean", default: false },
  },
});
const results = new Results(import.meta.filename, values.write);
const seconds = Number(values.seconds);
/** Requests a second, of the other host and of all flooding ones together. */
const otherRate = 200;
const floodRate = 600;
const many = 30;

const loud = `export default () => {
  for (let at = 0; at < 20; at++) log.info("x".repeat(1000));
  return deny(418);
};`;
const broken = "export default () => { null.x; };";
const crowds: Readonly<Record<string, readonly string[]>> = {
  nothing: [],
  "a script that logs all that it may": [loud],
  "a script that fails with each call": [broken],
  [`${many} of both`]: Array.from({ length: many }, (_, at) => (at % 2 === 0 ? loud : broken)),
};

const origins = new Processes();
const directory = await mkdtemp(join(tmpdir(), "sluice-bench-"));
const client = new SteadyClient();

interface LogRecord {
  readonly script?: string;
  readonly msg: string;
}

/** How many records of scripts are in a log, and how many it says it left out. */
async function readLog(file: string) {
  const text = await readFile(file, "utf8");
  const records = text
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as LogRecord);
  const ofScripts = records.filter(({ script }) => script !== undefined);
  let leftOut = 0;
  for (const { msg } of ofScripts) {
    if (!msg.startsWith("left out of the log")) continue;
    for (const [, count] of msg.matchAll(/(\d+) (?:records|errors)/g)) leftOut += Number(count);
  }
  return { written: ofScripts.length, leftOut };
}

/** How many requests for `host` have a record; waits for the last of them. */
async function recorded(file: string, host: string, wanted: number): Promise<number> {
  for (let looks = 0; ; looks += 1) {
    const lines = (await readFile(file, "utf8")).split("\n");
    const count = lines.filter((line) => line.includes(`"${host}"`)).length;
    if (count >= wanted || looks === 20) return count;
    await sleep(100);
  }
}

try {
  await chmod(directory, 0o755);
  const originPort = await startOrigin(origins, 1, directory);
  results.say(
    `${seconds} s each, the other host at ${otherRate}/s, those that flood at ${floodRate}/s together\n`,
  );
  results.say(
    "| beside | p50 ms | p99 | longest | failed | not in the access log | records of scripts | counted as left out | log, MB/s | workers that ended |",
  );
  results.say(`| --- |${" ---: |".repeat(9)}`);
  for (const [name, texts] of Object.entries(crowds)) {
    const flooding = texts.map((text, at) => [`flood${at}.example`, text] as const);
    const processes = new Processes();
    const own = await mkdtemp(join(directory, "run-"));
    const [output, accessLog] = [join(own, "output"), join(own, "access.log")];
    try {
      const gateway = await startGateway({
        ...{ processes, directory: own, originPort, output },
        ...{ core: "0,1", otherCore: 1, workers: 2 },
        hosts: { "other.example": null, ...Object.fromEntries(flooding) },
        flags: ["--log-level", "info", "--access-log", accessLog],
      });
      const { port } = gateway;
      const before = workersOf(gateway.pid).slice(0, 2);
      const rate = floodRate / Math.max(1, flooding.length);
      const [answers = []] = await Promise.all([
        client.load({ port, host: "other.example", rate: otherRate, seconds }),
        ...flooding.map(([host]) => client.load({ port, host, rate, seconds })),
      ]);
      // The last window is told a second later.
      await sleep(1_500);
      const { written, leftOut } = await readLog(output);
      const bytes = (await stat(output)).size;
      const missing = answers.length - (await recorded(accessLog, "other.example", answers.length));
      const lost = before.filter((pid) => !workersOf(gateway.pid).includes(pid));
      const cells = [0.5, 0.99, 1].map((part) => quantile(answers, part).toFixed(1));
      const failed = answers.filter(({ status }) => status !== 200).length;
      const rest = [failed, missing, written, leftOut, (bytes / 1e6 / seconds).toFixed(2)];
      results.say(`| ${[name, ...cells, ...rest, lost.length].join(" | ")} |`);
    } finally {
      await processes.stop();
    }
  }
} finally {
  client.close();
  await origins.stop();
  await rm(directory, { recursive: true, force: true });
}
