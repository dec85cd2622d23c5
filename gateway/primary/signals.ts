/** Runs a primary until a signal or a failure ends it, and turns that into an exit status. */
import type { Log } from "../observability/logger.ts";
import type { Address } from "../settings-values.ts";
import type { Primary } from "./primary.ts";

/**
 * npm and terminals pass one Ctrl-C on twice: once to the process group, once from the parent. A second
 * signal within this time is the same one.
 */
const sameSignalMs = 250;

const statusOf = { SIGINT: 130, SIGTERM: 143 } as const;

/**
 * Starts `primary` and resolves to the exit status when it has ended: 0 after SIGTERM or SIGINT, 1 when
 * the workers cannot serve. A second signal ends the process at once. SIGHUP replaces the workers.
 * Rejects with what `start` throws.
 */
export async function runUntilSignal(
  primary: Primary,
  log: Log,
  onStarted: (at: { readonly admin: Address }) => void = () => {},
): Promise<number> {
  const ended = Promise.withResolvers<number>();
  let firstMs: number | null = null;
  const onEnd = (signal: "SIGINT" | "SIGTERM") => {
    if (firstMs === null) {
      firstMs = performance.now();
      log.info({ signal }, `${signal}: finishing what runs`);
      ended.resolve(0);
    } else if (performance.now() - firstMs > sameSignalMs) {
      log.warn({ signal }, `${signal} again: ending at once`);
      primary.abandon();
      process.exit(statusOf[signal]);
    }
  };
  const onHangup = () => {
    log.info({ signal: "SIGHUP" }, "SIGHUP: replacing the workers one by one");
    primary.roll().catch((error: unknown) => log.error({ err: error }, "replacing workers failed"));
  };
  process.on("SIGINT", onEnd);
  process.on("SIGTERM", onEnd);
  process.on("SIGHUP", onHangup);
  try {
    onStarted(await primary.start());
    void primary.failed.then((reason) => {
      log.fatal({ reason }, `the gateway cannot serve: ${reason}`);
      ended.resolve(1);
    });
    const status = await ended.promise;
    await primary.stop();
    return status;
  } finally {
    process.off("SIGINT", onEnd);
    process.off("SIGTERM", onEnd);
    process.off("SIGHUP", onHangup);
  }
}
