#!/usr/bin/env node
// The command `sluice`: sets the project up when that is due and runs gateway/cli.ts on the project's own
// Node 26. Plain JavaScript for any Node from 20 on: it runs before Node 26 is there.
import { spawn } from "node:child_process";
import module from "node:module";
import { constants } from "node:os";
import { fileURLToPath, pathToFileURL } from "node:url";
import { neededMajor } from "./node-binary.mjs";
import { compileCache, setUp } from "./setup.mjs";

// Node has followed the symlink that npm makes for a command.
const cli = fileURLToPath(new URL("../gateway/cli.ts", import.meta.url));
const passedOn = ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT"];

function complain(message) {
  console.error(`sluice: ${message}`);
  process.exitCode = 1;
}

/** Runs the commands in a process of their own and ends with its status. */
function run(node) {
  // The child ends by itself when this process is gone, however that ended (gateway/commands/starter.ts).
  const env = { ...process.env, SLUICE_STARTER: String(process.pid) };
  const args = ["--disable-sigusr1", cli, ...process.argv.slice(2)];
  const child = spawn(node, args, { stdio: "inherit", env });
  for (const signal of passedOn) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => complain(`${node} cannot be run: ${error.message}`));
  child.on("exit", (status, signal) => {
    // A child that was ended by a signal shows as the shell would show it.
    process.exitCode = signal === null ? status : 128 + (constants.signals[signal] ?? 0);
  });
}

try {
  const node = setUp();
  // From its first file on: the stripper of types takes 30 MB, for one file as for all.
  process.env.NODE_COMPILE_CACHE ??= compileCache;
  if (Number.parseInt(process.versions.node, 10) >= neededMajor) {
    module.enableCompileCache(process.env.NODE_COMPILE_CACHE);
    process.argv[1] = cli;
    await import(pathToFileURL(cli).href);
  } else {
    run(node);
  }
} catch (error) {
  complain(error.message);
}
