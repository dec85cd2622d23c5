import { expect } from "chai";
import { ErrorRates, type WorkerScriptReport } from "./error-rates.ts";

const report = (
  worker: number,
  calls: number,
  errors: number,
  version = "v1",
): WorkerScriptReport => ({
  worker,
  host: "a",
  version,
  calls,
  errors,
  lastError: errors > 0 ? "Error: no" : null,
});

describe("the error rates of scripts", () => {
  const failing = (rates: ErrorRates) =>
    rates.failing().map(({ version, calls, errors }) => `${version} ${errors}/${calls}`);

  it("pass the threshold at 5 errors and more than 1 % of the calls, summed over workers", () => {
    const rates = new ErrorRates();
    rates.take(0, [report(1, 50, 2), report(2, 50, 2)]);
    expect(failing(rates)).to.deep.equal([]);
    rates.take(1_000, [report(1, 60, 2), report(2, 50, 3)]);
    expect(failing(rates)).to.deep.equal(["v1 5/110"]);
    expect(rates.failing()[0]?.lastError).to.equal("Error: no");
  });

  it("do not pass it with 1 % of the calls or less", () => {
    const rates = new ErrorRates();
    rates.take(0, [report(1, 1_000, 10)]);
    expect(failing(rates)).to.deep.equal([]);
    rates.take(1_000, [report(1, 1_000, 11)]);
    expect(failing(rates)).to.deep.equal(["v1 11/1000"]);
  });

  it("forget what is older than 10 seconds", () => {
    const rates = new ErrorRates();
    rates.take(0, [report(1, 4, 4)]);
    rates.take(9_000, [report(1, 8, 4)]);
    rates.take(10_000, [report(1, 9, 5)]);
    expect(failing(rates)).to.deep.equal([]);
    rates.take(11_000, [report(1, 13, 9)]);
    expect(failing(rates)).to.deep.equal(["v1 5/9"]);
  });

  it("count each report once, and go on when a worker's counters begin anew", () => {
    const rates = new ErrorRates();
    for (let second = 0; second < 5; second += 1) rates.take(second, [report(1, 3, 3)]);
    expect(failing(rates)).to.deep.equal([]);
    rates.take(6, [report(1, 2, 2)]);
    expect(failing(rates)).to.deep.equal(["v1 5/5"]);
  });

  it("pass the threshold that the version has declared", () => {
    const strict = { minErrors: 1, maxErrorShare: 0, windowMs: 60_000 };
    const lax = { minErrors: 100, maxErrorShare: 0.5, windowMs: 1_000 };
    const rates = new ErrorRates((version) => (version === "v1" ? strict : lax));
    rates.take(0, [report(1, 99, 1), report(1, 99, 99, "v2")]);
    rates.take(50_000, [report(1, 100, 1), report(1, 150, 150, "v2")]);
    expect(failing(rates)).to.deep.equal(["v1 1/100"]);
  });

  it("are of each version by itself", () => {
    const rates = new ErrorRates();
    rates.take(0, [report(1, 100, 0), report(1, 9, 9, "v2")]);
    expect(failing(rates)).to.deep.equal(["v2 9/9"]);
  });
});
