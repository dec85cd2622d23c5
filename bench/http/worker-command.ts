/** The command that starts an engine alone as the gateway starts its workers. */
import { collectorFlags, workerTunables } from "../../gateway/primary/worker-fork.ts";

export function workerCommand(path: string, ...more: readonly string[]): readonly string[] {
  const tunables = `GLIBC_TUNABLES=${workerTunables(process.env.GLIBC_TUNABLES)}`;
  return ["env", tunables, process.execPath, ...collectorFlags, path, ...more];
}
