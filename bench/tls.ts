/**
 * `node bench/tls.ts`: TLS to clients, the engine with one worker beside nginx and HAProxy. Each has one core, the load and the
 * origin the other; they take turns. Besides the rate it tells the processor time of the contender for each request or
 * handshake, which other work on the machine changes less; the ratios are of that time.
 */
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Command, InvalidArgumentError } from "commander";
import { TestAuthority } from "../test/support/certificates.ts";
import { nginxFrame, nginxLocation } from "./http/contenders.ts";
import { flawless, parse } from "./http/load.ts";
import { startOrigin } from "./http/origin.ts";
import {
  cpuSeconds,
  freePort,
  host,
  Processes,
  residentMegabytes,
  workersOf,
} from "./http/processes.ts";
import { median } from "./http/report.ts";
import { Results } from "./http/results.ts";

type KeyType = "ec" | "rsa";

interface Running {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
}

interface Measured {
  readonly perSecond: number;
  readonly processorMicroseconds: number;
}

const contenderCore = 0;
const otherCore = 1;
const program = new Command("bench-tls")
  .description("TLS to clients with one worker beside nginx and HAProxy.")
  .option("--rounds <n>", "rounds of all contenders; the median counts", positive, 5)
  .option("--seconds <n>", "length of one measurement", positive, 4)
  .option("--idle <n>", "idle connections whose memory is measured, 0 for none", natural, 10_000)
  .option("--write", "write the page of the day in bench/results", false);
const { rounds, seconds, idle, write } = program
  .parse()
  .opts<{ rounds: number; seconds: number; idle: number; write: boolean }>();

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
  const rsa = await startAll("rsa", originPort);
  results.say(
    `Medians of ${rounds} rounds of ${seconds} s; of HAProxy and nginx: their time over ours.`,
  );
  results.say("");
  results.say("| | | a second | µs of processor | of nginx | of HAProxy |");
  results.say("| --- | --- | ---: | ---: | ---: | ---: |");
  await compare("small GETs on 64 kept connections, requests", ecdsa, wrk("/small", 64, []));
  await compare("answers of 1 MB on 16 kept connections, requests", ecdsa, wrk("/1m", 16, []));
  const once = ["-H", "Connection: close"];
  await compare(
    "a connection for each GET, resumed where it can be",
    ecdsa,
    wrk("/small", 64, once),
  );
  await compare("full handshakes, TLS 1.3, ECDSA P-256", ecdsa, shake("-new", "-tls1_3"));
  await compare("full handshakes, TLS 1.3, RSA 2048", rsa, shake("-new", "-tls1_3"));
  await compare("resumed handshakes, TLS 1.2", ecdsa, shake("-reuse", "-tls1_2"));
  if (idle === 0) return;
  results.say("");
  // HAProxy wants two descriptors for each connection, which the usual limit does not give it.
  for (const contender of ecdsa.filter(({ name }) => name !== "HAProxy")) {
    const kilobytes = await idleKilobytes(contender);
    results.say(
      `${contender.name}: ${kilobytes.toFixed(1)} kB for each of ${idle} idle connections`,
    );
  }
}

async function startAll(type: KeyType, originPort: number): Promise<readonly Running[]> {
  const folder = join(directory, type);
  await mkdir(folder, { mode: 0o755 });
  const { cert, key } = new TestAuthority().issue({ names: [host], type });
  const chain = join(folder, "chain.pem");
  const secret = join(folder, "key.pem");
  await writeFile(chain, cert, { mode: 0o644 });
  await writeFile(secret, key, { mode: 0o644 });
  await writeFile(join(folder, "both.pem"), cert + key, { mode: 0o644 });
  const own = processes.start(contenderCore, [
    process.execPath,
    join(import.meta.dirname, "http/tls-worker.ts"),
    ...[chain, secret, String(originPort)],
  ]);
  const [, port] = await own.line(/^port (\d+)$/);
  return [
    { name: "engine", port: Number(port), pid: own.pid },
    await startNginx(folder, chain, secret, originPort),
    await startHaproxy(folder, originPort),
  ];
}

async function startNginx(
  folder: string,
  chain: string,
  secret: string,
  originPort: number,
): Promise<Running> {
  const [port, plainPort] = [await freePort(), await freePort()];
  const root = join(folder, "nginx");
  await mkdir(root, { mode: 0o755 });
  const config = nginxFrame(
    root,
    `
    upstream origin {
      server 127.0.0.1:${originPort};
      keepalive 1024;
      keepalive_requests 1000000000;
    }
    keepalive_timeout 600s;
    ssl_certificate ${chain};
    ssl_certificate_key ${secret};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache off;
    server {
      listen 127.0.0.1:${port} ssl http2 backlog=4096;
      listen 127.0.0.1:${plainPort};
${nginxLocation}
    }`,
  );
  const file = join(root, "nginx.conf");
  await writeFile(file, config);
  const started = processes.start(contenderCore, ["nginx", "-p", root, "-c", file]);
  await started.answers(`http://127.0.0.1:${plainPort}/small`, host);
  return { name: "nginx", port, pid: started.pid };
}

async function startHaproxy(folder: string, originPort: number): Promise<Running> {
  const [port, plainPort] = [await freePort(), await freePort()];
  const file = join(folder, "haproxy.cfg");
  await writeFile(
    file,
    `global
  nbthread 1
  maxconn 4000
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout http-keep-alive 600s
  timeout http-request 600s
  timeout server 60s
  option forwardfor
  http-reuse always
frontend gateway
  bind 127.0.0.1:${port} ssl crt ${join(folder, "both.pem")} alpn h2,http/1.1 backlog 4096
  bind 127.0.0.1:${plainPort}
  default_backend origin
backend origin
  server origin 127.0.0.1:${originPort}
`,
  );
  const started = processes.start(contenderCore, ["haproxy", "-db", "-f", file]);
  await started.answers(`http://127.0.0.1:${plainPort}/small`, host);
  return { name: "HAProxy", port, pid: started.pid };
}

type Measure = (at: Running) => Promise<{ readonly perSecond: number; readonly count: number }>;

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

/** One run each that does not count, then the rounds. */
async function compare(what: string, running: readonly Running[], measure: Measure): Promise<void> {
  const runs = running.map((): Measured[] => []);
  for (const at of running) await measure(at);
  for (let round = 0; round < rounds; round += 1) {
    for (const [index, at] of running.entries()) {
      const before = processorSeconds(at.pid);
      const { perSecond, count } = await measure(at);
      const spent = processorSeconds(at.pid) - before;
      runs[index]?.push({ perSecond, processorMicroseconds: (spent / count) * 1e6 });
    }
  }
  const costs = runs.map((all) => median(all.map((run) => run.processorMicroseconds)));
  for (const [index, { name }] of running.entries()) {
    const rate = median(runs[index]?.map(({ perSecond }) => perSecond) ?? []);
    const cost = costs[index] ?? 0;
    const of = (other: number) => ((costs[other] ?? 0) / cost).toFixed(2);
    results.say(
      `| ${what} | ${name} | ${Math.round(rate)} | ${cost.toFixed(1)} | ${of(1)} | ${of(2)} |`,
    );
  }
}

async function idleKilobytes({ port, pid }: Running): Promise<number> {
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

function processorSeconds(pid: number): number {
  return workersOf(pid).reduce((sum, child) => sum + cpuSeconds(child), cpuSeconds(pid));
}

async function end(): Promise<void> {
  await processes.stop();
  await rm(directory, { recursive: true, force: true });
}

function positive(text: string): number {
  const value = natural(text);
  if (value < 1) throw new InvalidArgumentError("a number above 0");
  return value;
}

function natural(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError("a whole number");
  return value;
}
