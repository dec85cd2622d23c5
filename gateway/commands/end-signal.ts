/** Ends a command that runs until it is told to stop. */

/** npm and terminals pass one Ctrl-C on twice; a second signal within this time is the same one. */
const sameSignalMs = 250;

/** Resolves when SIGINT or SIGTERM has come and `stop` has finished. A second signal ends the process. */
export async function untilEndSignal(stop: () => void | Promise<void>): Promise<void> {
  const first = Promise.withResolvers<void>();
  let firstMs: number | null = null;
  const onSignal = (signal: NodeJS.Signals) => {
    firstMs ??= performance.now();
    first.resolve();
    if (performance.now() - firstMs > sameSignalMs) process.exit(signal === "SIGINT" ? 130 : 143);
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  await first.promise;
  await stop();
  process.off("SIGINT", onSignal);
  process.off("SIGTERM", onSignal);
}
