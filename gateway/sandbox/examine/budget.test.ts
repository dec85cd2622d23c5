import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { timed, within } from "./budget.ts";

/** As isolated-vm says it. */
const timeout = () => new Error("Script execution timed out.");

/** Keeps the processor for so many milliseconds of its own time. */
function burn(ms: number): void {
  const began = process.cpuUsage();
  for (;;) {
    const { user, system } = process.cpuUsage(began);
    if ((user + system) / 1_000 >= ms) return;
  }
}

const reasonOf = (work: Promise<unknown>) =>
  work.then(
    () => "it ended",
    (error: Error) => error.message,
  );

describe("the time of an examination", () => {
  it("has what hardly had the processor when its timer ended it run again, with a longer one", async () => {
    const timers: number[] = [];
    const text = await timed(1_000, async (timeoutMs) => {
      timers.push(timeoutMs);
      if (timeoutMs < 4_000) throw timeout();
      return "fine";
    });
    expect([text, ...timers]).to.deep.equal(["fine", 1_000, 2_000, 4_000]);
  });

  it("is over for what had its time, for what no timer ended, and for what does not end at all", async () => {
    let runs = 0;
    const runFor = (ms: number, error: Error, limitMs = 50) =>
      reasonOf(
        timed(limitMs, async () => {
          runs += 1;
          burn(ms);
          throw error;
        }),
      );
    expect(await runFor(50, timeout())).to.equal(timeout().message);
    expect(await runFor(0, new TypeError("no function"))).to.equal("no function");
    expect(runs).to.equal(2);
    expect(await runFor(0, timeout(), 1_000)).to.equal(timeout().message);
    expect(runs, "up to ten times the limit").to.equal(2 + 4);
  });

  it("begins when the timer is started", async () => {
    let runs = 0;
    const work = timed(50, async (_timeoutMs, onStart) => {
      runs += 1;
      burn(50);
      onStart();
      if (runs === 1) throw timeout();
      return "fine";
    });
    expect(await work).to.equal("fine");
  });

  it("does not pass while something else has the processor", async () => {
    const late = () => new Error("late");
    expect(await within(sleep(1_500, "fine"), 1_000, late)).to.equal("fine");
    const endless = within(new Promise(() => {}), 50, late);
    burn(51);
    expect(await reasonOf(endless)).to.equal("late");
  });
});
