/**
 * How many file descriptors this process may use for connections, by the limit that it was started with, and what it
 * logs when they run short.
 */
import { readdirSync, readFileSync } from "node:fs";
import type { Descriptors } from "../engine/engine.ts";
import type { Log } from "../observability/logger.ts";

/** For everything but connections: log files, look-ups of names, sockets on their way in. */
const reserve = 24;
/** A gateway cannot do with fewer; then accepting may fail, which is logged. */
const fewest = 8;
/** Shortest time between two log lines about descriptors. */
const quietMs = 10_000;

export interface DescriptorLimit {
  readonly limit: number;
  readonly most: number;
}

/** Returns `null` when there is no limit, or none that can be read. */
export function descriptorLimit(): DescriptorLimit | null {
  try {
    const written = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
    if (written === undefined) return null;
    const limit = Number(written);
    const open = readdirSync("/proc/self/fd").length;
    return { limit, most: Math.max(fewest, limit - open - reserve) };
  } catch {
    // Not Linux, or no descriptor left to read with.
    return null;
  }
}

/** Makes the engine's options for the limit. `reopen` is called when there is room again; pauses are logged. */
export function watchDescriptors(
  { limit, most }: DescriptorLimit,
  options: {
    readonly log: Log;
    /** How many descriptors other things than this engine's connections use now. */
    readonly others: () => number;
    /** Connections in the whole process. */
    readonly connections: () => number;
    readonly reopen: (listener: number) => void;
    /** Monotonic milliseconds. */
    readonly now: () => number;
  },
): Descriptors {
  const { log, others, connections, reopen, now } = options;
  let loggedMs = Number.NEGATIVE_INFINITY;
  const onPause = () => {
    if (now() - loggedMs < quietMs) return;
    loggedMs = now();
    log.error(
      { limit, connections: connections() },
      `file descriptors are short (ulimit -n is ${limit}): new connections wait until others end`,
    );
  };
  return {
    get most() {
      return Math.max(fewest, most - others());
    },
    reopen,
    onPause,
  };
}
