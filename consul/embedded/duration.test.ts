import { expect } from "chai";
import { parseDuration } from "./duration.ts";

describe("durations in Go's notation", () => {
  it("reads every unit, fractions and sums", () => {
    const expectations: readonly (readonly [string, number])[] = [
      ["0", 0],
      ["10s", 10_000],
      ["250ms", 250],
      ["1m30s", 90_000],
      ["1.5h", 5_400_000],
      [".5s", 500],
      ["2h0m1s", 7_201_000],
      ["1500us", 1.5],
      ["1500µs", 1.5],
      ["-1s", -1000],
    ];
    for (const [text, ms] of expectations)
      expect(parseDuration(text), text).to.be.closeTo(ms, 1e-9);
  });

  it("takes nothing else", () => {
    for (const text of ["", "5", "s", "10 s", "10S", "1d", "1s2", "s1", "--1s", "1e3s", "."]) {
      expect(parseDuration(text), text).to.equal(null);
    }
  });
});
