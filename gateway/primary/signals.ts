/** Runs a primary until a signal or a failure ends it, and turns that into an exit status. */
import { type EndSignal, runService } from "../ending.ts";
import type { Log } from "../observability/logger.ts";
import type { Address } from "../settings-values.ts";
import type { Primary } from "./primary.ts";

/**
 * Starts `primary` and resolves to the exit status when it has ended: 0 after SIGTERM or SIGINT, 1 when
 * the workers cannot serve. A second signal ends the process at once, and so does the first when the end
 * takes too long. SIGHUP replaces the workers, SIGUSR1 opens the access log anew. Rejects with what
 * `start` throws.
 */
export async function runUntilSignal(
  primary: Primary,
  log: Log,
  onStarted: (at: { readonly admin: Address }) => void = () => {},
): Promise<number> {
  const onHangup = () => {
    log.info({ signal: "SIGHUP" }, "SIGHUP: replacing the workers one by one");
    primary.roll().catch((error: unknown) => log.error({ err: error }, "replacing workers failed"));
  };
  const onReopen = () => {
    log.info({ signal: "SIGUSR1" }, "SIGUSR1: opening the access log anew");
    primary.reopenLogs();
  };
  const onSignal = (signal: EndSignal, isAgain: boolean) => {
    if (isAgain) log.warn({ signal }, `${signal} again: ending at once`);
    else log.info({ signal }, `${signal}: finishing what runs`);
  };
  process.on("SIGHUP", onHangup);
  process.on("SIGUSR1", onReopen);
  try {
    const service = {
      start: async () => onStarted(await primary.start()),
      stop: () => primary.stop(),
      failed: primary.failed.then((reason) => {
        log.fatal({ reason }, `the gateway cannot serve: ${reason}`);
        return 1;
      }),
      onSignal,
      abandon: (reason: string) => {
        log.error({ reason }, `ending at once: ${reason}`);
        primary.abandon();
      },
    };
    return await runService(service, primary.longestStopMs);
  } finally {
    process.off("SIGHUP", onHangup);
    process.off("SIGUSR1", onReopen);
  }
}
