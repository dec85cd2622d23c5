/**
 * Preloaded (`node --import`) into what the demo starts: ends the process as `SIGTERM` does when the
 * demo is gone, however that ended. Does nothing in a process that has no such parent.
 */
import { rmSync } from "node:fs";
import { type LeashMessage, leashVariable } from "./leash-terms.ts";

/** What does not end by itself within this time is ended for good. */
const graceMs = 15_000;

// A worker inherits the preload with the rest of its primary's arguments; its own parent is the primary.
const isLeashed = process.env[leashVariable] !== undefined;
delete process.env[leashVariable];

if (process.channel && isLeashed) {
  let directory: string | null = null;
  process.on("message", (message: unknown) => {
    if (isLeashMessage(message)) directory = message.directory;
  });
  process.on("disconnect", () => {
    process.on("exit", () => {
      if (directory !== null) rmSync(directory, { recursive: true, force: true });
    });
    setTimeout(() => process.kill(process.pid, "SIGKILL"), graceMs).unref();
    process.kill(process.pid, "SIGTERM");
  });
  // The channel alone is no reason to stay.
  process.channel.unref();
}

function isLeashMessage(message: unknown): message is LeashMessage {
  return (
    typeof message === "object" &&
    message !== null &&
    "directory" in message &&
    typeof message.directory === "string"
  );
}
