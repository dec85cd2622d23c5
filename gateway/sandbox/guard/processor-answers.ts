/**
 * Tells the watchdog how much processor time the main thread has had. Runs on the stall guard's thread: while
 * the main thread is inside a script, only another thread can look.
 */
import { openSync, readSync } from "node:fs";
import { questions } from "./call-marker.ts";

const { answersCell, askedCell, answeredCell, ranCell, unitsPerMs } = questions;
const nsPerUnit = 1_000_000 / unitsPerMs;

/**
 * Answers questions until the thread ends. Without somebody who answers, the watchdog goes by the clock on the
 * wall.
 * @param cells of `Stays`.
 * @param ranNs how many nanoseconds the main thread has run.
 */
export function answerQuestions(cells: Int32Array<SharedArrayBuffer>, ranNs: () => number): void {
  const answer = (): void => {
    for (;;) {
      const asked = Atomics.load(cells, askedCell);
      Atomics.store(cells, ranCell, Math.round(ranNs() / nsPerUnit) | 0);
      Atomics.store(cells, answeredCell, asked);
      Atomics.notify(cells, answeredCell);
      const next = Atomics.waitAsync(cells, askedCell, asked);
      if (!next.async) continue;
      void next.value.then(answer);
      return;
    }
  };
  answer();
  Atomics.store(cells, answersCell, 1);
}

/**
 * Nanoseconds that the main thread has run: the first field of its schedstat (the kernel's
 * Documentation/scheduler/sched-stats.rst). `null` where the system does not count: it is not Linux, or there is
 * no `/proc`.
 */
export function openProcessorCounter(): (() => number) | null {
  const bytes = new Uint8Array(64);
  let file: number;
  try {
    file = openSync(`/proc/self/task/${process.pid}/schedstat`, "r");
  } catch {
    return null;
  }
  const read = (): number => {
    const length = readSync(file, bytes, 0, bytes.length, 0);
    let ns = 0;
    for (let at = 0; at < length; at += 1) {
      const digit = (bytes[at] ?? 0) - 48;
      if (digit < 0) break;
      ns = ns * 10 + digit;
    }
    return ns;
  };
  // Kernels without these statistics say 0 for everything.
  return read() > 0 ? read : null;
}
