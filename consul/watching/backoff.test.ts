import { expect } from "chai";
import { Backoff } from "./backoff.ts";

describe("backoff", () => {
  it("doubles its ceiling up to the maximum and draws evenly below it", () => {
    const ceilings = new Backoff({ baseMs: 100, maxMs: 1_000 }, () => 1);
    expect([1, 2, 3, 4, 5, 6].map(() => ceilings.next())).to.deep.equal([
      100, 200, 400, 800, 1_000, 1_000,
    ]);
    const halves = new Backoff({ baseMs: 100, maxMs: 1_000 }, () => 0.5);
    expect([halves.next(), halves.next()]).to.deep.equal([50, 100]);
  });

  it("begins anew after a success", () => {
    const backoff = new Backoff({ baseMs: 100, maxMs: 1_000 }, () => 1);
    backoff.next();
    backoff.next();
    backoff.reset();
    expect(backoff.next()).to.equal(100);
  });

  it("does not overflow however long Consul is away", () => {
    const backoff = new Backoff({ baseMs: 100, maxMs: 10_000 }, () => 1);
    for (let at = 0; at < 5_000; at += 1) backoff.next();
    expect(backoff.next()).to.equal(10_000);
  });
});
