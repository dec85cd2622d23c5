#!/usr/bin/env node
// The command `sluice`: sets the project up when that is due and runs gateway/cli.ts on the project's own
// Node 26. Plain JavaScript for any Node from 20 on: it runs before Node 26 is there.
import { spawn } from "node:child_process";
import { realpathSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

// Through a symlink (npm makes one for a bin) the project is where the file really is.
const root = dirname(dirname(realpathSync(fileURLToPath(import.meta.url))));
const cli = join(root, "gateway", "cli.ts");

await import(pathToFileURL(join(root, "tools", "setup.mjs")).href);

if (Number.parseInt(process.versions.node, 10) >= 26) {
  process.argv[1] = cli;
  await import(pathToFileURL(cli).href);
} else {
  const node = join(root, "node_modules", "node", "bin", "node");
  const child = spawn(node, [cli, ...process.argv.slice(2)], { stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.on(signal, () => child.kill(signal));
  }
  child.on("error", (error) => {
    console.error(`sluice: ${node} cannot be run: ${error.message}`);
    process.exit(1);
  });
  child.on("exit", (status, signal) => {
    // A child that was ended by a signal shows as the shell would show it.
    process.exit(signal === null ? status : 128 + (constants.signals[signal] ?? 0));
  });
}
