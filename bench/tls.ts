/**
 * `node bench/tls.ts`: TLS to clients, the engine with one worker beside nginx, HAProxy and, with `CADDY_BIN` and `TRAEFIK_BIN`,
 * Caddy and Traefik. Each has one core, the load and the origin the other; they take turns (`comparison.ts`).
 */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import { TestAuthority } from "../test/support/certificates.ts";
import { Comparison, type Contending, type Measure } from "./http/comparison.ts";
import { openDoors } from "./http/front-doors.ts";
import { flawless, parse } from "./http/load.ts";
import { natural, partsOf, positive } from "./http/options.ts";
import { startOrigin } from "./http/origin.ts";
import { host, Processes, residentMegabytes } from "./http/processes.ts";
import { Results } from "./http/results.ts";

type KeyType = "ec" | "rsa";

const contenderCore = 0;
const otherCore = 1;
const allParts = ["requests", "handshakes", "idle"];
const { rounds, seconds, idle, parts, write } = new Command("bench-tls")
  .description("TLS to clients with one worker beside nginx and HAProxy.")
  .option("--rounds <n>", "rounds of all contenders; the median counts", positive, 5)
  .option("--seconds <n>", "length of one measurement", positive, 4)
  .option("--idle <n>", "idle connections whose memory is measured", natural, 10_000)
  .option("--parts <names>", `of ${allParts.join(",")}`, partsOf(allParts), allParts)
  .option("--write", "write the page of the day in bench/results", false)
  .parse()
  .opts<{
    rounds: number;
    seconds: number;
    idle: number;
    parts: readonly string[];
    write: boolean;
  }>();

const processes = new Processes();
const directory = await mkdtemp(join(tmpdir(), "sluice-bench-"));
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => end().finally(() => process.exit(1)));
}
const results = new Results(import.meta.filename, write);
try {
  await main();
} finally {
  await end();
}

async function main(): Promise<void> {
  // nginx's worker has another user.
  await chmod(directory, 0o755);
  const originPort = await startOrigin(processes, otherCore, directory);
  const ecdsa = await startAll("ec", originPort);
  if (parts.includes("requests") || parts.includes("handshakes")) {
    results.say(
      `Medians of ${rounds} rounds of ${seconds} s; of HAProxy and nginx: their time over ours.`,
    );
    results.say("");
  }
  const table = new Comparison(results, rounds, ["nginx", "HAProxy"]);
  if (parts.includes("requests")) await requests(table, ecdsa);
  if (parts.includes("handshakes")) await handshakes(table, ecdsa, originPort);
  if (parts.includes("idle")) await memory(ecdsa);
}

async function requests(table: Comparison, at: readonly Contending[]): Promise<void> {
  table.head();
  await table.row("small GETs on 64 kept connections", at, wrk("/small", 64, []));
  await table.row("answers of 1 MB on 16 kept connections", at, wrk("/1m", 16, []));
  const once = ["-H", "Connection: close"];
  const each = "a connection for each GET, resumed where it can be";
  await table.row(each, at, wrk("/small", 64, once));
  results.say("");
}

async function handshakes(
  table: Comparison,
  ecdsa: readonly Contending[],
  originPort: number,
): Promise<void> {
  const rsa = await startAll("rsa", originPort);
  table.head();
  await table.row("full handshakes, TLS 1.3, ECDSA P-256", ecdsa, shake("-new", "-tls1_3"));
  await table.row("full handshakes, TLS 1.3, RSA 2048", rsa, shake("-new", "-tls1_3"));
  await table.row("resumed handshakes, TLS 1.2", ecdsa, shake("-reuse", "-tls1_2"));
  results.say("");
}

async function memory(contending: readonly Contending[]): Promise<void> {
  // HAProxy wants two descriptors for each connection, which the usual limit does not give it.
  for (const contender of contending.filter(({ name }) => name !== "HAProxy")) {
    const kilobytes = await idleKilobytes(contender);
    results.say(
      `- ${contender.name}: ${kilobytes.toFixed(1)} kB for each of ${idle} idle connections`,
    );
  }
}

async function startAll(type: KeyType, originPort: number): Promise<readonly Contending[]> {
  const certificate = new TestAuthority().issue({ names: [host], type });
  const doors = { processes, core: contenderCore, folder: join(directory, type), certificate };
  return openDoors({ ...doors, originPort, origin: "http1" }, (line) => console.error(line));
}

function wrk(path: string, connections: number, more: readonly string[]): Measure {
  return async ({ port }) => {
    const output = await processes.run(otherCore, [
      ...["wrk", "-t1", `-c${connections}`, `-d${seconds}s`, "--latency", "-H", `Host: ${host}`],
      ...[...more, `https://127.0.0.1:${port}${path}`],
    ]);
    const { requestsPerSecond } = flawless(parse(output));
    const count = Number(/^\s*(\d+) requests in/m.exec(output)?.[1]);
    return { perSecond: requestsPerSecond, count };
  };
}

/** One handshake after the other: what counts is the time that each costs. */
function shake(...how: readonly string[]): Measure {
  return async ({ port }) => {
    const output = await processes.run(otherCore, [
      ...["openssl", "s_time", "-connect", `127.0.0.1:${port}`, ...how, "-time", String(seconds)],
    ]);
    const [, count = ""] = /^(\d+) connections in \d+ real seconds/m.exec(output) ?? [];
    if (count === "") throw new Error(output);
    return { perSecond: Number(count) / seconds, count: Number(count) };
  };
}

async function idleKilobytes({ port, pid }: Contending): Promise<number> {
  const before = residentMegabytes(pid);
  const clients = new Processes();
  try {
    const started = clients.start(otherCore, [
      process.execPath,
      join(import.meta.dirname, "http/idle-tls-clients.ts"),
      ...[String(port), String(idle)],
    ]);
    await started.line(/^open/);
    // What the handshakes left behind is collected, or it is not.
    await sleep(3_000);
    return ((residentMegabytes(pid) - before) * 1_024) / idle;
  } finally {
    await clients.stop();
  }
}

async function end(): Promise<void> {
  await processes.stop();
  await rm(directory, { recursive: true, force: true });
}
