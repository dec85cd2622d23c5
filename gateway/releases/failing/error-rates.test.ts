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
    const strict = { minErrors: 1, maxErrorShare: 0, windowMs: 60_000, minClients: 1 };
    const lax = { minErrors: 100, maxErrorShare: 0.5, windowMs: 1_000, minClients: 1 };
    const rates = new ErrorRates((version) => (version === "v1" ? strict : lax));
    rates.take(0, [report(1, 99, 1), report(1, 99, 99, "v2")]);
    rates.take(50_000, [report(1, 100, 1), report(1, 150, 150, "v2")]);
    expect(failing(rates)).to.deep.equal(["v1 1/100"]);
  });

  const from = (
    worker: number,
    errors: number,
    clients: readonly (readonly [string, number])[],
    callers: readonly string[] = [],
  ): WorkerScriptReport => {
    const sample = (error: number) => ({ error, request: `request ${error}`, response: null });
    const samples = errors > 0 ? [sample(errors)] : [];
    return { ...report(worker, 2 * errors, errors), callers, failed: { clients, samples } };
  };

  it("do not pass it by one of many clients, and do by three, or by all that there are", () => {
    const many = ["a", "b", "c", "d"];
    const rates = new ErrorRates();
    rates.take(0, [from(1, 6, [["a", 6]], many), from(2, 5, [["b", 2]], many)]);
    expect(failing(rates), "two").to.deep.equal([]);
    const two = new ErrorRates();
    two.take(0, [from(1, 6, [["a", 6]], ["a"]), from(2, 5, [["b", 2]], ["b"])]);
    expect(failing(two), "all").to.deep.equal(["v1 11/22"]);
    const third = [
      from(1, 6, [["a", 6]], many),
      from(
        2,
        7,
        [
          ["b", 2],
          ["c", 7],
        ],
        many,
      ),
    ];
    rates.take(1_000, third);
    expect(failing(rates), "three").to.deep.equal(["v1 13/26"]);
    expect(rates.failing()[0]?.samples.map(({ request }) => request)).to.deep.equal([
      "request 7",
      "request 5",
      "request 6",
    ]);
  });

  it("know that there are many where the worker of the one that fails sees nobody else", () => {
    const rates = new ErrorRates();
    const quiet = { ...report(2, 100, 0), callers: ["b", "c", "d"] };
    rates.take(0, [from(1, 6, [["a", 6]], ["a"]), quiet]);
    expect(failing(rates)).to.deep.equal([]);
    rates.take(11_000, [from(1, 12, [["a", 12]], ["a"]), quiet]);
    expect(failing(rates), "they are gone").to.deep.equal(["v1 6/12"]);
  });

  it("know a client that failed only within the window, and no error twice", () => {
    const many = ["a", "b", "c"];
    const rates = new ErrorRates();
    const told = [["a", 1] as const, ["b", 2] as const];
    rates.take(0, [from(1, 2, told, many)]);
    rates.take(9_000, [from(1, 8, [...told, ["c", 8]], many)]);
    expect(failing(rates)).to.deep.equal(["v1 8/16"]);
    rates.take(11_000, [from(1, 8, [...told, ["c", 8]], many)]);
    expect(failing(rates), "c alone").to.deep.equal([]);
  });

  it("are of each version by itself", () => {
    const rates = new ErrorRates();
    rates.take(0, [report(1, 100, 0), report(1, 9, 9, "v2")]);
    expect(failing(rates)).to.deep.equal(["v2 9/9"]);
  });
});
