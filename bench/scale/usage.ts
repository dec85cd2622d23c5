/** What a process uses, from `/proc`; Linux only. */
import { readFileSync } from "node:fs";

/** `USER_HZ` of every Linux that Node runs on. */
const ticksPerSecond = 100;

/** Processor time that the process has had, in ms. */
function processorMs(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond;
}

/** Starts to watch; the returned function gives the share of one core since then, in percent. */
export function watchProcessor(pid: number): () => number {
  const [startMs, usedMs] = [performance.now(), processorMs(pid)];
  return () => ((processorMs(pid) - usedMs) / (performance.now() - startMs)) * 100;
}

export function residentMegabytes(pid: number): number {
  const text = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) / 1024;
}

/** Connections that are open to a local port. */
export function connectionsTo(port: number): number {
  const end = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const rows = readFileSync("/proc/net/tcp", "utf8").split("\n").slice(1);
  return rows.filter((row) => {
    const [, local, , state] = row.trim().split(/\s+/);
    return state === "01" && local?.endsWith(end);
  }).length;
}
