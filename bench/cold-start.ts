/**
 * A gateway that starts with many scripts, some of which are slow to examine and some broken: when each good host
 * serves. `node bench/cold-start.ts [--hosts N] [--slow N] [--broken N]`; below a minute with the defaults.
 */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { Agent, get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { parseArgs } from "node:util";
import { startOrigin } from "./http/origin.ts";
import { Processes } from "./http/processes.ts";
import { Results } from "./http/results.ts";
import { isExamining, startGateway } from "./scripts/gateway.ts";

const { values } = parseArgs({
  options: {
    hosts: { type: "string", default: "300" },
    slow: { type: "string", default: "20" },
    broken: { type: "string", default: "20" },
    write: { type: "boolean", default: false },
  },
});
const results = new Results(import.meta.filename, values.write);
const counts = {
  good: Number(values.hosts) - Number(values.slow) - Number(values.broken),
  slow: Number(values.slow),
  broken: Number(values.broken),
};
/** 200 cases, each of which runs for most of the 10 ms that a call has. */
const slowCases = `export const tests = Array.from({ length: 200 }, () => ({ expect: { respond: 200 } }));
export default () => { for (const end = Date.now() + 8; Date.now() < end; ); return respond({}); };`;
const texts = {
  good: `export const tests = [{ expect: { respond: 200 } }];
export default () => respond({ body: "good" });`,
  slow: slowCases,
  broken: "export default () => deny(40)\nconst;",
};
const limitMs = 180_000;

const agent = new Agent({ keepAlive: true, maxSockets: 16 });
const processes = new Processes();
const directory = await mkdtemp(join(tmpdir(), "sluice-bench-"));

function isServed(port: number, host: string): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  get({ port, agent, headers: { host } }, (answer) => {
    answer.resume().once("end", () => resolve(answer.statusCode === 200));
  }).once("error", reject);
  return promise;
}

/** Slow and broken ones are spread among the good. */
function hostsOf(): Record<string, string> {
  const left = { ...counts };
  const hosts: Record<string, string> = {};
  const all = counts.good + counts.slow + counts.broken;
  for (let at = 0; at < all; at += 1) {
    const share = (kind: keyof typeof counts) => left[kind] / (counts[kind] || 1);
    const [kind = "good"] = (["slow", "broken", "good"] as const)
      .filter((one) => left[one] > 0)
      .sort((a, b) => share(b) - share(a));
    left[kind] -= 1;
    hosts[`${kind}${at}.example`] = texts[kind];
  }
  return hosts;
}

try {
  await chmod(directory, 0o755);
  const originPort = await startOrigin(processes, 1, directory);
  const hosts = hostsOf();
  const gateway = await startGateway({
    ...{ processes, directory, originPort, hosts, isEager: true },
    ...{ core: "0,1", otherCore: 1, workers: 1 },
  });
  const openedMs = performance.now() - gateway.startedAtMs;
  const times: number[] = [];
  let waiting = Object.keys(hosts).filter((host) => host.startsWith("good"));
  while (waiting.length > 0 && performance.now() - gateway.startedAtMs < limitMs) {
    const ask = async (host: string) => {
      const isGood = await isServed(gateway.port, host);
      if (isGood) times.push(performance.now() - gateway.startedAtMs);
      return isGood;
    };
    const served = await Promise.all(waiting.map(ask));
    waiting = waiting.filter((_, at) => !served[at]);
    if (waiting.length > 0) await setTimeout(20);
  }
  while (await isExamining(gateway.admin)) {
    if (performance.now() - gateway.startedAtMs > limitMs) break;
    await setTimeout(100);
  }
  const allMs = performance.now() - gateway.startedAtMs;
  const seconds = (ms: number | undefined) =>
    ms === undefined ? "never" : (ms / 1_000).toFixed(2);
  results.say(`${counts.good} good scripts, ${counts.slow} slow, ${counts.broken} broken\n`);
  results.say("| since the start of the gateway | s |\n| --- | --- |");
  results.say(`| it opens | ${seconds(openedMs)} |`);
  for (const part of [0.5, 0.9, 0.99, 1]) {
    const at = Math.ceil(part * counts.good) - 1;
    results.say(`| ${part * 100} % of the good hosts serve | ${seconds(times[at])} |`);
  }
  results.say(`| all are examined | ${seconds(allMs)} |`);
} finally {
  agent.destroy();
  await processes.stop();
  await rm(directory, { recursive: true, force: true });
}
