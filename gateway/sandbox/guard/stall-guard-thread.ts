/**
 * The thread of `stall-guard.ts`. It can do only one thing to the thread that it watches: end it. When that
 * thread stays in one call for long, it names the script early, because a crash of V8 ends both threads. It
 * also tells the watchdog how much processor time the main thread has had, which only another thread can read
 * while a script runs.
 */
import { openSync, readSync, writeSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import type { InsideWords, LastWords } from "../../model/index.ts";
import { wallFactor } from "../limits.ts";
import { questions } from "./call-marker.ts";
import type { GuardedScript, GuardNews, StallGuardOptions } from "./stall-guard.ts";

const { inside, stallMs, lastWordsDescriptor } = workerData as StallGuardOptions & {
  readonly inside: Int32Array<SharedArrayBuffer>;
};
const { answersCell, nobody, somebody, askedCell, answeredCell, ranCell, unitsPerMs } = questions;
const nsPerUnit = 1_000_000 / unitsPerMs;
const looks = 40;
/** A thread that had the processor for this part of the time did not merely wait for it. */
const ownPart = 0.75;
/** It is better to name a call too many than to have a crash without a known reason. */
const looksUntilSaid = 2;
/** What is known of each isolate that there is, as JSON. */
const scripts = new Map<number, SharedArrayBuffer>();
let seenStay = 0;
let seenTimes = 0;
let seenRanNs = 0;
let isSaid = false;

parentPort?.on("message", ({ number, words }: GuardNews) => {
  if (words === null) scripts.delete(number);
  else scripts.set(number, words);
});

const ranNs = openProcessorCounter();
if (ranNs === null) Atomics.store(inside, answersCell, nobody);
else answerQuestions(inside, ranNs);

function scriptOf(number: number): GuardedScript | undefined {
  const words = scripts.get(number);
  if (words === undefined) return undefined;
  return JSON.parse(Buffer.from(words).toString()) as GuardedScript;
}

setInterval(() => {
  const number = Atomics.load(inside, 0);
  const stay = Atomics.load(inside, 1);
  if (number === 0 || stay !== seenStay) {
    seenStay = stay;
    seenTimes = 0;
    if (isSaid) say({ inside: null });
    isSaid = false;
    return;
  }
  // Counting looks, not time: a process that was suspended as a whole has not stalled.
  seenTimes += 1;
  if (seenTimes === 1 && ranNs !== null) seenRanNs = ranNs();
  if (seenTimes !== looksUntilSaid && seenTimes < looks) return;
  const script = scriptOf(Math.abs(number));
  if (seenTimes < looks || mustWait()) {
    if (isSaid) return;
    isSaid = script !== undefined;
    if (script !== undefined) say({ inside: wordsOf(script) });
    return;
  }
  const record = {
    name: "sluice-sandbox",
    pid: process.pid,
    level: 60,
    script: script === undefined ? "" : `scripts/${script.host} ${script.version}`,
    msg: `the script has not returned for ${stallMs} ms and cannot be interrupted: the process ends`,
    time: new Date().toISOString(),
    v: 0,
  };
  try {
    if (script !== undefined) say(wordsOf(script));
    writeSync(2, `${JSON.stringify(record)}\n`);
  } finally {
    process.kill(process.pid, "SIGKILL");
  }
}, stallMs / looks);

/** A thread that other processes keep from its work, not V8, is given more time. */
function mustWait(): boolean {
  if (ranNs === null || seenTimes >= wallFactor * looks) return false;
  return (ranNs() - seenRanNs) / 1_000_000 < stallMs * ownPart;
}

function wordsOf({ host, version, ...known }: GuardedScript): LastWords {
  const reason = `a worker could not get out of it for ${stallMs} ms and was ended`;
  return { host, version, out: { reason, ...known } };
}

function say(words: LastWords | InsideWords): void {
  if (lastWordsDescriptor !== null) writeSync(lastWordsDescriptor, `${JSON.stringify(words)}\n`);
}

/**
 * Answers questions until the thread ends. Without somebody who answers, the watchdog goes by the clock on the
 * wall.
 * @param cells of `CallMarker`.
 * @param ranNs how many nanoseconds the main thread has run.
 */
function answerQuestions(cells: Int32Array<SharedArrayBuffer>, ranNs: () => number): void {
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
  Atomics.store(cells, answersCell, somebody);
}

/**
 * Nanoseconds that the main thread has run: the first field of its schedstat (the kernel's
 * Documentation/scheduler/sched-stats.rst). `null` where the system does not count: it is not Linux, or there is
 * no `/proc`.
 */
function openProcessorCounter(): (() => number) | null {
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
