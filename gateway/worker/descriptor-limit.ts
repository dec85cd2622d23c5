/** How many descriptors the connections of this process may take, by the limit that it was started with. */
import { readdirSync, readFileSync } from "node:fs";

/** For what is not a connection: log files, look-ups of names, sockets on their way in. */
const reserve = 24;
/** With less a gateway is none: then accepting may fail, and says so. */
const fewest = 8;

/** `null`: there is no limit, or none that can be read. */
export function descriptorLimit(): { readonly limit: number; readonly most: number } | null {
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
