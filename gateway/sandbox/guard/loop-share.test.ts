import { expect } from "chai";
import { LoopShare, Use } from "./loop-share.ts";

/** Runs scripts that want so many calls a second of so many milliseconds each, for ten seconds. */
function simulate(wishes: readonly { rate: number; ms: number }[], hasOthers: boolean) {
  const share = new LoopShare(20);
  const all = wishes.map((wish) => ({ ...wish, use: new Use(), next: 0, ran: 0, refused: 0 }));
  let nowMs = 0;
  let atAStretchMs = 0;
  let longestMs = 0;
  while (nowMs < 10_000) {
    if (hasOthers) share.sawOther();
    const arrived = all.filter(({ next }) => next <= nowMs);
    atAStretchMs = 0;
    for (const one of arrived) {
      one.next += 1_000 / one.rate;
      if (!share.isCalm && !share.mayRun(one.use, nowMs)) {
        one.refused += 1;
        continue;
      }
      nowMs += one.ms;
      atAStretchMs += one.ms;
      one.ran += one.ms;
      share.take(one.use, nowMs, one.ms);
    }
    if (nowMs > 1_000) longestMs = Math.max(longestMs, atAStretchMs);
    nowMs += 1;
  }
  const part = (at: number) => (all[at]?.ran ?? 0) / nowMs;
  const total = all.reduce((sum, { ran }) => sum + ran, 0) / nowMs;
  return { part, total, longestMs, refused: (at: number) => all[at]?.refused ?? 0 };
}

describe("the share of heavy scripts", () => {
  it("is half of the time, however many there are, and little at a stretch", () => {
    for (const count of [2, 30, 1_000]) {
      const crowd = Array.from({ length: count }, () => ({ rate: 50, ms: 8 }));
      const { total, longestMs } = simulate(crowd, true);
      expect(total, `${count} hosts`).to.be.within(0.4, 0.56);
      expect(longestMs, `${count} hosts`).to.be.below(40);
    }
  });

  it("is no limit for those that take less", () => {
    const { total, refused } = simulate([{ rate: 100, ms: 4 }], true);
    expect(total).to.be.within(0.38, 0.42);
    expect(refused(0)).to.equal(0);
  });

  it("is taken from those that take most", () => {
    const { part, refused, total } = simulate(
      [
        { rate: 100, ms: 8 },
        { rate: 20, ms: 3 },
        { rate: 100, ms: 8 },
      ],
      true,
    );
    expect(total).to.be.within(0.4, 0.56);
    expect(part(1)).to.be.within(0.05, 0.06);
    expect(refused(1)).to.be.below(0.02 * 200);
  });

  it("is all of the time for one script when nobody else wants any", () => {
    const { total, refused } = simulate([{ rate: 100, ms: 9 }], false);
    expect(total).to.be.above(0.8);
    expect(refused(0)).to.equal(0);
  });
});
