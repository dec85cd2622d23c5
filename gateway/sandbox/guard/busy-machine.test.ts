/** Limits of time while other processes have most of the processor. */
import { type ChildProcess, spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { until } from "../../../test/support/conditions.ts";
import { Bench, tables } from "../fixtures/test-sandbox.ts";
import { IsolateSandbox } from "../run/isolate-sandbox.ts";
import { threadProcessorMs } from "./processor-time.ts";

/** Waits for their turn. */
const competitors = 4 * availableParallelism();
const limits = { memoryMb: 16, callTimeoutMs: 10 };
/** Enough for many turns of the others, and few enough to leave the machine to other suites soon. */
const calls = 200;
/** Half a millisecond or so of the processor, whoever has it in between. */
const light = `export default () => {
  let sum = 0;
  for (let at = 0; at < 300_000; at++) sum = (sum * 31 + at) % 65_537;
  return deny(403, String(sum));
};`;

describe("on a busy machine", function () {
  this.timeout(120_000);
  let busy: ChildProcess[] = [];
  let begun: Bench[] = [];

  /** One that has just begun: nobody counts processor time yet. */
  function begin(): { bench: Bench; sandbox: IsolateSandbox } {
    const scripts = tables({ "light.example.com": light, "loop.example.com": loop });
    const bench = new Bench(scripts, { limits, stallMs: 2_000 });
    begun.push(bench);
    const { sandbox } = bench;
    if (!(sandbox instanceof IsolateSandbox)) throw new Error("not the sandbox of the gateway");
    return { bench, sandbox };
  }

  async function ready(): Promise<Bench> {
    const { bench, sandbox } = begin();
    await until("processor time is counted", () => sandbox.countsProcessorTime);
    return bench;
  }

  const loop = "export default () => { for (;;); };";

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
    let longestMs = 0;
    for (let call = 0; call < calls; call += 1) {
      const startMs = performance.now();
      const { exchange } = one.request({ authority: "light.example.com" });
      longestMs = Math.max(longestMs, performance.now() - startMs);
      expect(exchange.status, `call ${call}`).to.equal(403);
      if (call % 20 === 0) await sleep(0);
    }
    expect(one.report("light.example.com")).to.include({ calls, errors: 0 });
    // Otherwise nothing was shown.
    const wall = performance.now() - before.wall;
    const processor = threadProcessorMs() - before.processor;
    expect(wall / processor, "there was no pressure").to.be.above(1.5);
    expect(longestMs, "no call had to wait").to.be.above(limits.callTimeoutMs);
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
    const one = await ready();
    const before = threadProcessorMs();
    expect(one.request({ authority: "loop.example.com" }).exchange.status).to.equal(500);
    const ranMs = threadProcessorMs() - before;
    expect(ranMs).to.be.below(10 * limits.callTimeoutMs);
    expect(one.report("loop.example.com").lastError).to.match(/ran longer than 10 ms/);
  });
});
