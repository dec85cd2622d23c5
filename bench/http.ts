/**
 * `npm run bench`: requests a second of Sluice, nginx, HAProxy and http-proxy on one core, the load
 * generator (wrk) and the origin (nginx) on another, in turn within one run, so that a machine that
 * is busy for a while is busy for all of them. Everything it starts ends with it.
 */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Command, Option } from "commander";
import {
  type Contender,
  engine,
  engineBefore,
  folderOf,
  gateway,
  gatewayBefore,
  haproxy,
  httpProxy,
  loggingGateway,
  loggingNginx,
  nginx,
  pipe,
  plainHttpProxy,
  type Running,
} from "./http/contenders.ts";
import { cases, measure, type Run } from "./http/load.ts";
import { positive } from "./http/options.ts";
import { startOrigin } from "./http/origin.ts";
import { Processes, residentMegabytes } from "./http/processes.ts";
import { machine, type Result, table } from "./http/report.ts";
import { appendResult } from "./results-page.ts";

interface Options {
  readonly gateway: boolean;
  readonly case: keyof typeof cases;
  readonly connections: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly only: string;
  readonly before?: string;
  readonly write: boolean;
}

const contenderCore = 0;
const otherCore = 1;

const program = new Command("bench")
  .description("Requests a second of one worker beside nginx, HAProxy and http-proxy.")
  .option("--gateway", "the whole gateway with one worker instead of the engine alone", false)
  .addOption(
    new Option("--case <name>", "what is asked for").choices(Object.keys(cases)).default("small"),
  )
  .option("--connections <n>", "client connections", positive, 64)
  .option("--rounds <n>", "rounds of all contenders; the median counts", positive, 5)
  .option("--seconds <n>", "length of one measurement", positive, 4)
  .option("--only <name>", "only those whose names begin so", "")
  .option("--before <folder>", "another checkout of the project, installed, to measure beside it")
  .option("--write", "append the table to its page of the day in bench/results", false);

const options = program.parse().opts<Options>();
const processes = new Processes();
const directory = await mkdtemp(join(tmpdir(), "sluice-bench-"));
let isInterrupted = false;

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    isInterrupted = true;
    end().finally(() => process.exit(signal === "SIGINT" ? 130 : 143));
  });
}

try {
  await main();
} catch (error) {
  if (!isInterrupted) {
    console.error(`bench: ${error instanceof Error ? error.message : error}`);
    process.exitCode = 1;
  }
} finally {
  if (!isInterrupted) await end();
}

async function main(): Promise<void> {
  // nginx's workers run as another user.
  await chmod(directory, 0o755);
  const originPort = await startOrigin(processes, otherCore, directory);
  const before = beforeContenders();
  const own = [...(options.gateway ? [gateway, loggingGateway] : [engine]), ...before];
  const libraries = [httpProxy, plainHttpProxy];
  const others = options.gateway ? [nginx, loggingNginx] : [nginx];
  const all = [...own, ...others, haproxy, pipe, ...libraries];
  const wanted = all.filter(({ name }) => name.startsWith(options.only));
  if (wanted.length === 0) throw new Error(`--only: none of ${namesOf(all).join(", ")}`);
  const running = await startAll(wanted, originPort);
  const runs = await measureAll(running);
  const results = [...running].map(([contender, { pid }]): Result => {
    const residentMb = residentMegabytes(pid);
    return { name: contender.name, runs: runs.get(contender) ?? [], residentMegabytes: residentMb };
  });
  const bases = [
    nginx,
    httpProxy,
    plainHttpProxy,
    ...(options.gateway ? [gateway] : []),
    ...before,
  ];
  const text = section(table(results, namesOf(bases)));
  console.log(text);
  if (options.write) appendResult(`\n${text}`);
}

function beforeContenders(): readonly Contender[] {
  if (options.before === undefined) return [];
  const checkout = resolve(options.before);
  return [options.gateway ? gatewayBefore(checkout) : engineBefore(checkout)];
}

async function startAll(
  contenders: readonly Contender[],
  originPort: number,
): Promise<Map<Contender, Running>> {
  const running = new Map<Contender, Running>();
  for (const contender of contenders) {
    const missing = contender.missing();
    if (missing !== null) {
      console.error(`bench: ${contender.name} is left out: ${missing}`);
      continue;
    }
    const own = await folderOf(directory, contender);
    const core = contenderCore;
    const setting = { processes, core, otherCore, originPort, directory: own };
    running.set(contender, await contender.start(setting));
  }
  return running;
}

function namesOf(contenders: readonly Contender[]): readonly string[] {
  return contenders.map(({ name }) => name);
}

/** One warming run each, which does not count, then the rounds, every second one backwards. */
async function measureAll(running: Map<Contender, Running>): Promise<Map<Contender, Run[]>> {
  const asked = cases[options.case];
  const load = { core: otherCore, directory, connections: options.connections };
  const runs = new Map<Contender, Run[]>([...running.keys()].map((contender) => [contender, []]));
  for (const [, { port }] of running)
    await measure(processes, asked, { ...load, seconds: 1 }, port);
  for (let round = 1; round <= options.rounds; round += 1) {
    const turns = [...running];
    for (const [contender, { port }] of round % 2 === 0 ? turns.reverse() : turns) {
      const run = await measure(processes, asked, { ...load, seconds: options.seconds }, port);
      runs.get(contender)?.push(run);
      const rate = Math.round(run.requestsPerSecond);
      const failed = run.failures === 0 ? "" : `, ${run.failures} failed`;
      console.error(`round ${round}: ${contender.name}: ${rate} requests/s${failed}`);
    }
  }
  return runs;
}

function section(body: string): string {
  const date = new Date().toISOString().slice(0, 10);
  const arguments_ = process.argv.slice(2).filter((argument) => argument !== "--write");
  const command = ["npm run bench", ...(arguments_.length > 0 ? ["--", ...arguments_] : [])].join(
    " ",
  );
  return `### ${cases[options.case].name}, ${options.connections} connections

\`${command}\`, ${date}. ${machine()}. Each proxy with one worker on
one core, wrk with one thread and the origin (nginx) on the other; medians of ${options.rounds} rounds of
${options.seconds} s, all proxies in turn in each; ratios are the medians of the rounds' own.

${body}
`;
}

async function end(): Promise<void> {
  await processes.stop();
  await rm(directory, { recursive: true, force: true });
}
