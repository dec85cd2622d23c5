/** The thread of `stall-guard.ts`. It can do only one thing to the thread that it watches: end it. */
import { writeSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";

const { inside, stallMs } = workerData as { inside: Int32Array; stallMs: number };
const looks = 4;
const names = new Map<number, string>();
let seenStay = 0;
let seenTimes = 0;

parentPort?.on("message", ({ number, name }: { number: number; name: string }) => {
  names.set(number, name);
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
  const record = {
    name: "sluice-sandbox",
    pid: process.pid,
    level: 60,
    script: names.get(Math.abs(number)) ?? "",
    msg: `the script has not returned for ${stallMs} ms and cannot be interrupted: the process ends`,
    time: new Date().toISOString(),
    v: 0,
  };
  try {
    writeSync(2, `${JSON.stringify(record)}\n`);
  } finally {
    process.kill(process.pid, "SIGKILL");
  }
}, stallMs / looks);
