/** The thread of `stall-guard.ts`. It can do only one thing to the thread that it watches: end it. */
import { writeSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import type { LastWords } from "../state/index.ts";
import type { GuardedScript, StallGuardOptions } from "./stall-guard.ts";

const { inside, stallMs, lastWordsDescriptor } = workerData as StallGuardOptions & {
  readonly inside: Int32Array;
};
const looks = 4;
const scripts = new Map<number, GuardedScript>();
let seenStay = 0;
let seenTimes = 0;

parentPort?.on("message", ({ number, script }: { number: number; script: GuardedScript }) => {
  scripts.set(number, script);
});

setInterval(() => {
  const number = Atomics.load(inside, 0);
  const stay = Atomics.load(inside, 1);
  if (number === 0 || stay !== seenStay) {
    seenStay = stay;
    seenTimes = 0;
    return;
  }
  // Counting looks, not time: a process that was suspended as a whole has not stalled.
  seenTimes += 1;
  if (seenTimes < looks) return;
  const script = scripts.get(Math.abs(number));
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
    if (script !== undefined && lastWordsDescriptor !== null) tell(script, lastWordsDescriptor);
    writeSync(2, `${JSON.stringify(record)}\n`);
  } finally {
    process.kill(process.pid, "SIGKILL");
  }
}, stallMs / looks);

function tell({ host, version, ...known }: GuardedScript, descriptor: number): void {
  const reason = `a worker could not get out of it for ${stallMs} ms and was ended`;
  const words: LastWords = { host, version, out: { reason, ...known } };
  writeSync(descriptor, `${JSON.stringify(words)}\n`);
}
