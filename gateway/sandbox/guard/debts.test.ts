import { expect } from "chai";
import { Debt, Debts } from "./debts.ts";

describe("debts of scripts", () => {
  /** How long it takes until `debt` is paid. */
  function paidAfter(debts: Debts, debt: Debt, fromMs: number): number {
    let nowMs = fromMs;
    while (debts.owedMs(debt, nowMs) > 1e-6) nowMs += 10;
    return nowMs - fromMs;
  }

  it("are paid with one part in two hundred of the time", () => {
    const debts = new Debts();
    const debt = new Debt();
    debts.owe(debt, 5_000, 100);
    expect(debts.owedMs(debt, 5_000)).to.equal(100);
    expect(debts.owedMs(debt, 15_000)).to.equal(50);
    debts.owe(debt, 15_000, 10);
    expect(debts.owedMs(debt, 15_000)).to.equal(60);
    expect(paidAfter(debts, debt, 15_000)).to.be.closeTo(12_000, 10);
    debts.totalMs(30_000);
    expect(debts.areNone).to.equal(true);
  });

  it("share that part, so that many who owe take no more time than one", () => {
    const debts = new Debts();
    const all = Array.from({ length: 30 }, () => new Debt());
    let nowMs = 0;
    let tookMs = 0;
    // Each calls again as soon as it owes nothing, and stalls each time.
    while (nowMs < 20_000_000) {
      for (const debt of all) {
        if (debts.owedMs(debt, nowMs) > 0) continue;
        debts.owe(debt, nowMs, 300);
        tookMs += 300;
      }
      nowMs += 1_000;
    }
    const first = all.length * 300;
    expect((tookMs - first) / nowMs).to.be.within(0.0045, 0.005);
    expect(debts.totalMs(nowMs)).to.be.at.most(first);
  });

  it("let those go first that owe least", () => {
    const debts = new Debts();
    const [little, much] = [new Debt(), new Debt()];
    debts.owe(much, 0, 100);
    debts.owe(little, 0, 10);
    expect(debts.totalMs(0)).to.equal(110);
    // Both pay 10, then one of them the rest.
    expect(debts.owedMs(little, 4_000)).to.equal(0);
    expect(debts.owedMs(much, 4_000)).to.equal(90);
    expect(debts.owedMs(much, 4_000 + 18_000)).to.equal(0);
    debts.owe(little, 30_000, 10);
    expect(debts.owedMs(little, 30_000)).to.equal(10);
    expect(debts.totalMs(30_000)).to.equal(10);
  });
});
