import { expect } from "chai";
import { isOverrun, Rest } from "./rest.ts";
import { Bench, tables } from "./test-sandbox.ts";

/** How long the rest is that a cut at `nowMs` begins. */
function restAfter(rest: Rest, nowMs: number, wasOverrun = false): number {
  rest.cut(nowMs, wasOverrun);
  let until = nowMs;
  while (rest.isNow(until)) until += 100;
  return until - nowMs;
}

describe("a rest", () => {
  it("begins with the fifth call that was cut short, and doubles up to half a minute", () => {
    const rest = new Rest();
    const rests = Array.from({ length: 15 }, (_, second) => restAfter(rest, second * 1_000));
    expect(rests.slice(0, 7)).to.deep.equal([0, 0, 0, 0, 500, 1_000, 2_000]);
    expect(rests.at(-1)).to.equal(30_000);
  });

  it("begins at once when V8 could not be interrupted for long", () => {
    const rest = new Rest();
    expect(restAfter(rest, 0, true)).to.equal(500);
    expect(restAfter(rest, 1_000, true)).to.equal(16_000);
  });

  it("measures from the limit of the call", () => {
    expect(isOverrun(109, 10)).to.equal(false);
    expect(isOverrun(110, 10)).to.equal(true);
    expect(isOverrun(450, 400)).to.equal(false);
  });

  it("forgets after a minute", () => {
    const rest = new Rest();
    for (let at = 0; at < 5; at += 1) rest.cut(at, false);
    expect(rest.wasEver).to.equal(true);
    expect(restAfter(rest, 60_005)).to.equal(0);
  });

  it("answers with an error and does not run the script", () => {
    let nowMs = 1;
    const text = `export default ({ path }) => {
      if (path === "/loop") for (;;);
      return deny(403);
    };`;
    const limits = { memoryMb: 16, callTimeoutMs: 5 };
    const one = new Bench(tables(text), { now: () => nowMs, limits });
    const status = (path: string) => one.request({ path }).exchange.status;
    for (let at = 0; at < 5; at += 1) expect(status("/loop")).to.equal(500);
    expect(status("/")).to.equal(500);
    expect(one.report()).to.include({ calls: 6, errors: 6 });
    expect(one.report().lastError).to.equal(
      "scripts/a.example.com: is not called for a while: its calls ran out of time or memory",
    );
    nowMs += 30_000;
    expect(status("/")).to.equal(403);
    one.sandbox.dispose();
  });
});
