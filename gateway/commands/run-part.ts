/** Runs what a command starts, the agent or the registrator, until it is told to stop. */
import { runService } from "../ending.ts";
import type { Log } from "../observability/logger.ts";

/**
 * The time for deregistering from Consul or writing the state, because a disk or a Consul that hangs may never
 * finish.
 */
const stopWithinMs = 8_000;

/** Resolves to the exit status. Rejects with what `start` throws. */
export function runPart(
  start: () => Promise<{ close(): void | Promise<void> }>,
  log: Log,
): Promise<number> {
  let started: { close(): void | Promise<void> } | null = null;
  return runService(
    {
      start: async () => {
        started = await start();
      },
      stop: async () => started?.close(),
      failed: new Promise(() => {}),
      onSignal: () => {},
      abandon: (reason) => log.error({ reason }, `ending at once: ${reason}`),
    },
    stopWithinMs,
  );
}
