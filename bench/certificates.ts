/**
 * `node bench/certificates.ts`: a certificate in Consul is replaced again and again while new TLS connections come at a
 * steady rate. Each certificate has to be seen before the next one is written. Fails when a handshake did.
 */
import { X509Certificate } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Command, Option } from "commander";
import { TestAuthority } from "../test/support/certificates.ts";
import { until } from "../test/support/conditions.ts";
import { shakeHands } from "../test/support/https.ts";
import { eventually } from "../test/support/registered.ts";
import { runToEnd } from "./end-to-end/ending.ts";
import { quantile, report, section, table } from "./end-to-end/measurements.ts";
import { type ConsulName, consulNames, Parts } from "./end-to-end/parts.ts";
import { positive } from "./http/options.ts";

const { consul, replacements, rate, pause, write } = new Command("certificates")
  .description("Replaces a certificate under new TLS connections; takes about half a minute.")
  .addOption(new Option("--consul <kind>").choices(consulNames).default("real"))
  .option("--replacements <n>", "how often the certificate is replaced", positive, 100)
  .option("--rate <n>", "new TLS connections a second", positive, 500)
  .option("--pause <ms>", "between two replacements", positive, 100)
  .option("--write", "append the table to its page of the day in bench/results", false)
  .parse()
  .opts<{
    consul: ConsulName;
    replacements: number;
    rate: number;
    pause: number;
    write: boolean;
  }>();

const name = "bench.example";
const tickMs = 5;

interface Handshake {
  readonly beganMs: number;
  readonly tookMs: number;
  readonly fingerprint: string;
}

interface Replacement {
  readonly fingerprint: string;
  readonly writtenMs: number;
}

await runToEnd(async (later) => {
  const parts = await Parts.open(consul);
  later(() => parts.close());
  const authority = new TestAuthority();
  const ca = authority.cert;
  const replacement = async (): Promise<Replacement> => {
    const { cert, key } = authority.issue({ names: [name] });
    const writtenMs = performance.now();
    await parts.writes.put("certificates/bench", { chain: cert, key });
    return { fingerprint: new X509Certificate(cert).fingerprint256, writtenMs };
  };
  const written = [await replacement()];
  await parts.start(["--https", "127.0.0.1:0"]);
  const port = parts.gateway.portAt(1);
  await eventually("it is served", () => shakeHands({ port, ca, servername: name }));

  const done: Handshake[] = [];
  const seen = new Set<string>();
  const failures: string[] = [];
  let running = 0;
  const shake = async () => {
    running += 1;
    const beganMs = performance.now();
    try {
      const { fingerprint } = await shakeHands({ port, ca, servername: name });
      done.push({ beganMs, tookMs: performance.now() - beganMs, fingerprint });
      seen.add(fingerprint);
    } catch (error) {
      failures.push(String(error));
    }
    running -= 1;
  };
  let isOver = false;
  later(() => {
    isOver = true;
  });
  const startedMs = performance.now();
  const load = (async () => {
    for (let begun = 0; !isOver; await sleep(tickMs))
      for (const due = ((performance.now() - startedMs) / 1_000) * rate; begun < due; begun += 1)
        void shake();
  })();
  for (let count = 0; count < replacements; count += 1) {
    const next = await replacement();
    written.push(next);
    await until(`replacement ${count} is served`, () => seen.has(next.fingerprint), {
      deadlineMs: 60_000,
    });
    await sleep(pause);
  }
  isOver = true;
  await load;
  const seconds = (performance.now() - startedMs) / 1_000;
  await until("the last handshakes are over", () => running === 0, { deadlineMs: 60_000 });

  const words = `${consul === "real" ? "Real Consul" : "Embedded agent"}, 2 workers; ${replacements} replacements, each seen before the next, in ${seconds.toFixed(0)} s. ${done.length} handshakes, ${(done.length / seconds).toFixed(0)} a second, each on a connection of its own; ${failures.length} failed.`;
  const { fromFirst, toLast } = delays(written, done);
  const rows = [
    row(
      "a handshake",
      done.map(({ tookMs }) => tookMs),
    ),
    row("from the write to the first handshake with the new certificate", fromFirst),
    row("from the write to the last one that begins with the old certificate", toLast),
  ];
  const head = ["ms", "median", "p99", "highest"];
  report(section("Certificates replaced under new connections", words, table(head, rows)), write);
  if (failures.length === 0) return;
  console.error([...new Set(failures)].slice(0, 10).join("\n"));
  process.exitCode = 1;
});

function delays(
  written: readonly Replacement[],
  done: readonly Handshake[],
): { readonly fromFirst: readonly number[]; readonly toLast: readonly number[] } {
  const first = new Map<string, number>();
  const last = new Map<string, number>();
  for (const { beganMs, fingerprint } of done) {
    first.set(fingerprint, Math.min(first.get(fingerprint) ?? beganMs, beganMs));
    last.set(fingerprint, Math.max(last.get(fingerprint) ?? beganMs, beganMs));
  }
  const fromFirst: number[] = [];
  const toLast: number[] = [];
  for (const [at, { fingerprint, writtenMs }] of written.entries()) {
    const before = written[at - 1];
    if (before === undefined) continue;
    fromFirst.push(Math.max(0, (first.get(fingerprint) ?? writtenMs) - writtenMs));
    toLast.push(Math.max(0, (last.get(before.fingerprint) ?? writtenMs) - writtenMs));
  }
  return { fromFirst, toLast };
}

function row(title: string, values: readonly number[]): readonly string[] {
  return [title, ...[0.5, 0.99, 1].map((share) => quantile(values, share).toFixed(1))];
}
