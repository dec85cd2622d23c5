/**
 * The thread of `stall-guard.ts`. It can do only one thing to the thread that it watches: end it. What
 * that is in for long it says early, because a crash of V8 takes both. It also answers the watchdog.
 */
import { writeSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import type { InsideWords, LastWords } from "../../model/index.ts";
import { wallFactor } from "../limits.ts";
import { answerQuestions, openProcessorCounter } from "./processor-answers.ts";
import type { GuardedScript, GuardNews, StallGuardOptions } from "./stall-guard.ts";

const { inside, stallMs, lastWordsDescriptor } = workerData as StallGuardOptions & {
  readonly inside: Int32Array<SharedArrayBuffer>;
};
const looks = 40;
/** What had the processor for this part of the time did not only wait for it. */
const ownPart = 0.75;
/** Rather a call too many than a crash that nobody knows the reason of. */
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
if (ranNs !== null) answerQuestions(inside, ranNs);

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
