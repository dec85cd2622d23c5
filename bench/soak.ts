/**
 * A gateway under steady changes and steady traffic for half an hour or longer: what its processes have on their heaps after
 * each collection of garbage, and whether that grows: then it ends with 1. The long form of `test/e2e/soak.test.ts`.
 */
import { Command } from "commander";
import { growth, type Sample, soak } from "../test/support/soak/soak.ts";
import { runToEnd } from "./end-to-end/ending.ts";
import { report, section, table } from "./end-to-end/measurements.ts";
import { positive } from "./http/options.ts";

const { minutes, changes, requests, write } = new Command("soak")
  .option("--minutes <n>", "how long", positive, 30)
  .option("--changes <n>", "changes a second", positive, 20)
  .option("--requests <n>", "requests a second, at most", positive, 2_000)
  .option("--write", "append the table to its page of the day in bench/results", false)
  .parse()
  .opts<{ minutes: number; changes: number; requests: number; write: boolean }>();

await runToEnd(async () => {
  const { samples, failures } = await soak({
    ...{ minutes, changesPerSecond: changes, requestsPerSecond: requests },
    onSample: (sample) => console.error(rowOf(sample).join("  ")),
  });
  const names = samples[0]?.memory.map(({ process: name }) => name) ?? [];
  const head = [
    "minute",
    "changes",
    "requests",
    ...names.map((name) => `${name}: heap (resident), MB`),
  ];
  const grown = Array.from(growth(samples), ([name, { before, after, anHour, isLeak }]) => [
    ...[name, before.toFixed(1), after.toFixed(1), anHour.toFixed(1)],
    isLeak ? "**grows**" : "does not grow",
  ]);
  if (grown.some((row) => row.at(-1) === "**grows**")) process.exitCode = 1;
  const failed = Object.entries(failures).map(([why, count]) => `${why}: ${count}`);
  const words = `${minutes} minutes, ${changes} changes and at most ${requests} requests a second. Failed: ${failed.join(", ") || "none"}.`;
  const body = [
    table(head, samples.map(rowOf)),
    table(
      [
        ...["process", "least heap of the second third, MB", "of the last third, MB"],
        ...["slope, MB an hour", "verdict"],
      ],
      grown,
    ),
  ];
  report(section("Memory over time", words, body.join("\n\n")), write);
});

function rowOf({ minute, changes: changed, requests: asked, memory }: Sample): readonly string[] {
  const heaps = memory.map(({ heap, resident }) => `${heap.toFixed(1)} (${resident.toFixed(0)})`);
  return [minute.toFixed(1), String(changed), String(asked), ...heaps];
}
