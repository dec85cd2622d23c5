/**
 * Loaded into every process of a gateway (`--import`): at SIGUSR2 it collects all garbage and adds a line with what is left to a
 * file of its own in the folder that SOAK_FOLDER names.
 */
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
const folder = process.env.SOAK_FOLDER ?? "";

process.on("SIGUSR2", () => {
  // What is freed by finalizers of the first round goes with the second.
  collect();
  collect();
  const { heapUsed, external, rss } = process.memoryUsage();
  appendFileSync(
    join(folder, String(process.pid)),
    `${JSON.stringify({ heapUsed, external, rss })}\n`,
  );
});
