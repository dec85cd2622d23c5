import { expect } from "chai";
import { Rest } from "./rest.ts";
import { Bench, tables } from "./test-sandbox.ts";

/** How long the rest is that a failed call begins which ends at `nowMs`. */
function restAfter(rest: Rest, nowMs: number, tookMs: number): number {
  rest.owe(nowMs, tookMs);
  let until = nowMs;
  while (rest.isNow(until)) until += 100;
  return until - nowMs;
}

describe("a rest", () => {
  it("does not follow an odd call that was cut short, however often there is one", () => {
    const rest = new Rest(10);
    for (let at = 0; at < 20; at += 1) expect(restAfter(rest, at * 3_000, 14)).to.equal(0);
    expect(rest.wasEver).to.equal(false);
  });

  it("leaves a script that always fails so one part in two hundred of the time", () => {
    const rest = new Rest(10);
    let nowMs = 5_000;
    let tookMs = 0;
    for (let calls = 0; calls < 200; calls += 1) {
      while (rest.isNow(nowMs)) nowMs += 10;
      nowMs += 12;
      tookMs += 12;
      rest.owe(nowMs, 12);
    }
    expect((nowMs - 5_000) / tookMs).to.be.within(195, 205);
  });

  it("follows a call at once that nothing could end for long, in proportion to it", () => {
    expect(restAfter(new Rest(10), 0, 120)).to.equal(20_000);
    expect(restAfter(new Rest(10), 0, 70)).to.equal(10_000);
    expect(restAfter(new Rest(10), 0, 2_000)).to.equal(60_000);
    expect(restAfter(new Rest(400), 0, 450), "a longer limit is no offence").to.equal(0);
  });

  it("is over for good when what is owed is paid", () => {
    const rest = new Rest(10);
    rest.owe(0, 100);
    expect(rest.isNow(15_999)).to.equal(true);
    expect(rest.isNow(16_000)).to.equal(false);
    expect(restAfter(rest, 20_000, 10)).to.equal(0);
  });

  it("answers with an error and does not run the script", () => {
    let laterMs = 0;
    const text = `export default ({ path }) => {
      if (path === "/loop") for (;;);
      return deny(403);
    };`;
    const limits = { memoryMb: 16, callTimeoutMs: 5 };
    const now = () => performance.now() + laterMs;
    const one = new Bench(tables(text), { now, limits });
    const status = (path: string) => one.request({ path }).exchange.status;
    for (let at = 0; at < 3; at += 1) expect(status("/loop")).to.equal(500);
    expect(status("/")).to.equal(500);
    expect(one.report()).to.include({ calls: 4, errors: 4 });
    expect(one.report().lastError).to.equal(
      "scripts/a.example.com: is not called for a while: calls that failed took too much time",
    );
    laterMs += 60_000;
    expect(status("/")).to.equal(403);
    one.sandbox.dispose();
  });

  it("follows errors that a script takes its time for, not those that are cheap", () => {
    const text = `export default ({ path }) => {
      const until = Date.now() + 60;
      while (path === "/late" && Date.now() < until);
      throw new Error("mine");
    };`;
    const limits = { memoryMb: 16, callTimeoutMs: 500 };
    let laterMs = 0;
    const one = new Bench(tables(text), { now: () => performance.now() + laterMs, limits });
    const error = (path: string) => {
      one.request({ path });
      return one.report().lastError;
    };
    for (let at = 0; at < 1_000; at += 1) error("/");
    expect(error("/")).to.match(/Error: mine$/);
    let late = 0;
    // What others run on the machine meanwhile is not counted, so there may be more than 16 on a busy one.
    while (late < 200 && !error("/late")?.includes("is not called for a while")) late += 1;
    expect(late, "of 60 ms each").to.be.within(1, 199);
    laterMs += 60_000;
    expect(error("/")).to.match(/Error: mine$/);
    one.sandbox.dispose();
  });
});
