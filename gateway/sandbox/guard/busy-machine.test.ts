/** Limits of time while other processes have most of the processor. */
import { type ChildProcess, spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { Bench, tables } from "../fixtures/test-sandbox.ts";
import { IsolateSandbox } from "../run/isolate-sandbox.ts";
import { threadProcessorMs } from "./processor-time.ts";

/** Waits for their turn. */
const competitors = 4 * availableParallelism();
const limits = { memoryMb: 16, callTimeoutMs: 10 };
/** Enough for many turns of the others, and few enough to leave the machine to other suites soon. */
const least = 200;
/** By then the others have had their turns, wherever they run. */
const most = 20_000;
/** Half a millisecond or so of the processor, whoever has it in between. */
const light = `export default () => {
  let sum = 0;
  for (let at = 0; at < 300_000; at++) sum = (sum * 31 + at) % 65_537;
  return deny(403, String(sum));
};`;

describe("on a busy machine", () => {
  let busy: ChildProcess[] = [];
  let begun: Bench[] = [];

  const loop = "export default () => { for (;;); };";
  const scripts = tables({ "light.example.com": light, "loop.example.com": loop });

  /** One that has just begun: nobody counts processor time yet. */
  function begin(): { bench: Bench; sandbox: IsolateSandbox } {
    const bench = new Bench(scripts, { limits, stallMs: 2_000 });
    begun.push(bench);
    const { sandbox } = bench;
    if (!(sandbox instanceof IsolateSandbox)) throw new Error("not the sandbox of the gateway");
    return { bench, sandbox };
  }

  async function ready(): Promise<Bench> {
    const bench = await Bench.counting(scripts, { limits, stallMs: 2_000 });
    begun.push(bench);
    return bench;
  }

  beforeEach(() => {
    busy = Array.from({ length: competitors }, () =>
      spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" }),
    );
  });
  afterEach(() => {
    for (const child of busy) child.kill("SIGKILL");
    for (const { sandbox } of begun) sandbox.dispose();
    begun = [];
  });

  it("no light call runs out of time", async () => {
    const one = await ready();
    const before = { wall: performance.now(), processor: threadProcessorMs() };
    /** How much longer all took than they ran. */
    const pressure = () =>
      (performance.now() - before.wall) / (threadProcessorMs() - before.processor);
    let longestMs = 0;
    // Otherwise nothing is shown.
    const hadToWait = () => pressure() > 1.5 && longestMs > limits.callTimeoutMs;
    let calls = 0;
    for (; calls < least || (calls < most && !hadToWait()); calls += 1) {
      const startMs = performance.now();
      const { exchange } = one.request({ authority: "light.example.com" });
      longestMs = Math.max(longestMs, performance.now() - startMs);
      expect(exchange.status, `call ${calls}`).to.equal(403);
      if (calls % 20 === 0) await sleep(0);
    }
    expect(one.report("light.example.com")).to.include({ calls, errors: 0 });
    expect(hadToWait(), `pressure ${pressure()}, longest ${longestMs} ms`).to.equal(true);
  });

  it("no light call runs out of time in a process that has just begun, before anybody counts processor time", async () => {
    let uncounted = 0;
    for (let start = 0; start < 12; start += 1) {
      const { bench, sandbox } = begin();
      for (let call = 0; call < 12; call += 1) {
        if (!sandbox.countsProcessorTime) uncounted += 1;
        const { exchange } = bench.request({ authority: "light.example.com" });
        expect(exchange.status, bench.report("light.example.com").lastError ?? "").to.equal(403);
        if (call % 4 === 0) await sleep(0);
      }
    }
    expect(uncounted, "calls that came early").to.be.above(0);
  });

  it("an endless loop is ended when it had its time", async () => {
    const costs: number[] = [];
    for (let start = 0; start < 3; start += 1) {
      const one = await ready();
      const before = threadProcessorMs();
      expect(one.request({ authority: "loop.example.com" }).exchange.status).to.equal(500);
      costs.push(threadProcessorMs() - before);
      expect(one.report("loop.example.com").lastError).to.match(/ran longer than 10 ms/);
    }
    // Where whoever looks has to wait for its own turn, a loop goes on meanwhile.
    expect(Math.min(...costs), `${costs}`).to.be.below(10 * limits.callTimeoutMs);
  });
});
