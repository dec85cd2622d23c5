import { expect } from "chai";
import { ManualClock } from "../fixtures/clocks.ts";
import { Allowance } from "./allowance.ts";

describe("Allowance", () => {
  let clock: ManualClock;
  let allowance: Allowance;

  beforeEach(() => {
    clock = new ManualClock();
    allowance = new Allowance({ clock, most: 100 });
  });

  it("makes room for others once, until that can have an effect, and keeps a few", () => {
    expect(allowance.watches).to.equal(100);
    expect(allowance.refused(80)).to.equal(true);
    expect(allowance.watches).to.equal(64);
    expect(allowance.refused(79)).to.equal(false);
    expect(allowance.watches).to.equal(64);
    expect(allowance.refused(60)).to.equal(false);
    expect(allowance.watches).to.equal(59);
    clock.advance(40_000);
    expect(allowance.refused(50)).to.equal(true);
    expect(allowance.watches).to.equal(40);
    clock.advance(40_000);
    allowance.refused(1);
    expect(allowance.watches).to.equal(8);
  });

  it("grows again where nothing is refused for minutes, up to where it began", () => {
    allowance.refused(100);
    const later = (ms: number) => {
      clock.advance(ms);
      allowance.grow();
      return allowance.watches;
    };
    expect(later(299_000)).to.equal(80);
    expect(later(1_000)).to.equal(100);
    expect(later(3_600_000)).to.equal(100);
    allowance.refused(40);
    expect(later(300_000)).to.equal(40);
    allowance.refused(35);
    expect(later(200_000)).to.equal(28);
    expect(later(100_000)).to.equal(35);
  });
});
