/** Ends what a benchmark has started, whichever way it ends: by itself, by an error or by a signal. */

/**
 * Runs `work` with a list to which it adds how to end each thing that it starts; the last is ended first.
 * Sets the exit status: 1 after an error, 128 and the signal's number after a signal.
 */
export async function runToEnd(
  work: (later: (end: () => unknown) => void) => Promise<void>,
): Promise<void> {
  const ends: (() => unknown)[] = [];
  let status: number | null = null;
  const endAll = async () => {
    for (let end = ends.pop(); end !== undefined; end = ends.pop()) {
      try {
        await end();
      } catch (error) {
        console.error(error);
        status ??= 1;
      }
    }
  };
  for (const [signal, number] of [
    ["SIGINT", 2],
    ["SIGTERM", 15],
  ] as const) {
    process.once(signal, () => {
      status = 128 + number;
      endAll().finally(() => process.exit(status));
    });
  }
  try {
    await work((end) => ends.push(end));
  } catch (error) {
    // After a signal what was being measured fails, and that is no news.
    if (status === null) console.error(error);
    status ??= 1;
  }
  await endAll();
  // What it printed may still be on its way.
  process.stdout.write("", () => process.exit(status ?? process.exitCode ?? 0));
}
