/**
 * The file descriptors that the connections of this process may take, by the limit that it was started with,
 * and what is said when they are short.
 */
import { readdirSync, readFileSync } from "node:fs";
import type { Descriptors } from "../engine/engine.ts";
import type { Log } from "../observability/logger.ts";

/** For what is not a connection: log files, look-ups of names, sockets on their way in. */
const reserve = 24;
/** With less a gateway is none: then accepting may fail, and says so. */
const fewest = 8;
/** Between two lines about descriptors. */
const quietMs = 10_000;

export interface DescriptorLimit {
  readonly limit: number;
  readonly most: number;
}

/** `null`: there is no limit, or none that can be read. */
export function descriptorLimit(): DescriptorLimit | null {
  try {
    const written = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
    if (written === undefined) return null;
    const limit = Number(written);
    const open = readdirSync("/proc/self/fd").length;
    return { limit, most: Math.max(fewest, limit - open - reserve) };
  } catch {
    // Another system than Linux, or no descriptor left to look with.
    return null;
  }
}

/** What the engine is told of the limit: `reopen` is called when there is room again; each pause is logged. */
export function watchDescriptors(
  { limit, most }: DescriptorLimit,
  options: {
    readonly log: Log;
    /** Descriptors that are not for this engine's connections now. */
    readonly others: () => number;
    /** Connections of the whole process. */
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
