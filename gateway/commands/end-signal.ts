/** Runs what a command starts until it is told to stop. */

/** npm and terminals pass one Ctrl-C on twice; a second signal within this time is the same one. */
const sameSignalMs = 250;

/**
 * Starts, waits for SIGINT or SIGTERM, and closes; a signal that comes during the start counts. A second
 * signal ends the process at once. Rejects with what `start` throws.
 */
export async function runUntilEndSignal(
  start: () => Promise<{ close(): void | Promise<void> }>,
): Promise<void> {
  const first = Promise.withResolvers<void>();
  let firstMs: number | null = null;
  const onSignal = (signal: NodeJS.Signals) => {
    firstMs ??= performance.now();
    first.resolve();
    if (performance.now() - firstMs > sameSignalMs) process.exit(signal === "SIGINT" ? 130 : 143);
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  try {
    const started = await start();
    await first.promise;
    await started.close();
  } finally {
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  }
}
