/** Waiting for conditions in tests. Nothing here waits for a fixed time to pass. */
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";

/**
 * Resolves as soon as `holds` does. Rejects after `deadlineMs` (default 60000) with `what` and the
 * last value that `describe` gave.
 */
export async function until(
  what: string,
  holds: () => boolean,
  options: { readonly deadlineMs?: number; readonly describe?: () => unknown } = {},
): Promise<void> {
  const deadline = performance.now() + (options.deadlineMs ?? 60_000);
  while (!holds()) {
    if (performance.now() > deadline) {
      const state = options.describe ? `: ${JSON.stringify(options.describe())}` : "";
      throw new Error(`waited in vain until ${what}${state}`);
    }
    await sleep(2);
  }
}

/** What moves by way of several sockets of this process needs so many turns of its event loop at most. */
const turnsBetween = 5;

/**
 * Resolves when `read` gave the same value `times` times in a row, 20 ms and some turns of the event loop apart: for
 * what has stopped growing, where no single event says so.
 */
export async function settled(read: () => number, times = 10): Promise<number> {
  let last = read();
  for (let same = 0; same < times; ) {
    await sleep(20);
    for (let left = turnsBetween; left > 0; left -= 1) await turn();
    const now = read();
    same = now === last ? same + 1 : 0;
    last = now;
  }
  return last;
}
