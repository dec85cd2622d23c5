/**
 * `node bench/http2.ts`: HTTP/2 with h2load, in clear, over TLS, and calls of gRPC; the engine with one worker beside nginx,
 * HAProxy and, with `CADDY_BIN` and `TRAEFIK_BIN`, Caddy and Traefik. Each has one core, the load and the origin the other; they take
 * turns (`comparison.ts`).
 */
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { TestAuthority } from "../test/support/certificates.ts";
import { Comparison, type Measure } from "./http/comparison.ts";
import { openDoors } from "./http/front-doors.ts";
import { callOnce, echoPath, framed } from "./http/grpc-call.ts";
import { partsOf, positive } from "./http/options.ts";
import { startOrigin } from "./http/origin.ts";
import { host, Processes } from "./http/processes.ts";
import { Results } from "./http/results.ts";

interface Shape {
  readonly name: string;
  readonly connections: number;
  readonly streams: number;
}

const contenderCore = 0;
const otherCore = 1;
const shapes: readonly Shape[] = [
  { name: "50 connections, 1 stream each", connections: 50, streams: 1 },
  { name: "10 connections, 100 streams each", connections: 10, streams: 100 },
];

const allParts = ["clear", "tls", "grpc"];
const { rounds, seconds, parts, write } = new Command("bench-http2")
  .description("HTTP/2 requests and calls of gRPC of one worker beside nginx and HAProxy.")
  .option("--rounds <n>", "rounds of all contenders; the median counts", positive, 5)
  .option("--seconds <n>", "length of one measurement", positive, 4)
  .option("--parts <names>", `of ${allParts.join(",")}`, partsOf(allParts), allParts)
  .option("--write", "write the page of the day in bench/results", false)
  .parse()
  .opts<{ rounds: number; seconds: number; parts: readonly string[]; write: boolean }>();

const processes = new Processes();
/** Who is missing is said once. */
const missing = new Set<string>();
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
  results.say(`Medians of ${rounds} rounds of ${seconds} s; of the others: their time over ours.`);
  results.say("");
  const common = { processes, core: contenderCore };
  if (parts.includes("clear") || parts.includes("tls")) {
    const originPort = await startOrigin(processes, otherCore, directory);
    const http = { ...common, originPort, origin: "http1" } as const;
    if (parts.includes("clear")) {
      const contending = await openDoors(
        { ...http, folder: join(directory, "clear"), certificate: null },
        sayMissing,
      );
      await table("GET of 129 bytes in clear", contending, (shape) =>
        load(shape, "http", "/small"),
      );
    }
    if (parts.includes("tls")) {
      const certificate = new TestAuthority().issue({ names: [host] });
      const contending = await openDoors(
        { ...http, folder: join(directory, "tls"), certificate },
        sayMissing,
      );
      await table("GET of 129 bytes over TLS", contending, (shape) =>
        load(shape, "https", "/small"),
      );
    }
  }
  if (!parts.includes("grpc")) return;
  const body = join(directory, "message");
  await writeFile(body, framed());
  const call = ["-d", body, "-H", "content-type: application/grpc", "-H", "te: trailers"];
  const started = processes.start(otherCore, [
    process.execPath,
    join(import.meta.dirname, "http", "grpc-origin.ts"),
  ]);
  const [, port] = await started.line(/^port (\d+)$/);
  const contending = await openDoors(
    {
      ...{ ...common, originPort: Number(port), origin: "grpc", certificate: null },
      ...{ folder: join(directory, "grpc"), answersCalls: callOnce },
    },
    sayMissing,
  );
  await table("unary calls of gRPC in clear", contending, (shape) =>
    load(shape, "http", echoPath, call),
  );
  // What was measured were calls that a server answered, to the last.
  for (const one of contending) await callOnce(one.port);
}

async function table(
  what: string,
  contending: Parameters<Comparison["row"]>[1],
  measureOf: (shape: Shape) => Measure,
): Promise<void> {
  const others = contending.map(({ name }) => name).filter((name) => name !== "engine");
  const comparison = new Comparison(results, rounds, others);
  comparison.head();
  for (const shape of shapes)
    await comparison.row(`${what}, ${shape.name}`, contending, measureOf(shape));
  results.say("");
}

function sayMissing(line: string): void {
  if (missing.has(line)) return;
  missing.add(line);
  results.say(line);
  results.say("");
}

/** One run of h2load. Throws when a request failed. */
function load(
  { connections, streams }: Shape,
  scheme: "http" | "https",
  path: string,
  more: readonly string[] = [],
): Measure {
  return async ({ port }) => {
    const output = await processes.run(otherCore, [
      ...["h2load", "-D", String(seconds), "-c", String(connections), "-m", String(streams)],
      ...[...more, `--connect-to=127.0.0.1:${port}`, `${scheme}://${host}${path}`],
    ]);
    const [, perSecond] = /finished in .*?, ([0-9.]+) req\/s/.exec(output) ?? [];
    const [, good, failed, errored, late] =
      / ([0-9]+) succeeded, ([0-9]+) failed, ([0-9]+) errored, ([0-9]+) timeout/.exec(output) ?? [];
    const [, right] = /status codes: ([0-9]+) 2xx, 0 3xx, 0 4xx, 0 5xx/.exec(output) ?? [];
    const isFlawless = [failed, errored, late].every((count) => Number(count) === 0);
    if (perSecond === undefined || right === undefined || Number(good) === 0 || !isFlawless)
      throw new Error(output);
    return { perSecond: Number(perSecond), count: Number(good) };
  };
}

async function end(): Promise<void> {
  await processes.stop();
  await rm(directory, { recursive: true, force: true });
}
