import { expect } from "chai";
import { ScriptCounters } from "./counters.ts";

const host = "a.example";
const report = (calls: number, errors = 0, lastError: string | null = null, version = "v1") => ({
  ...{ host, version, calls, errors, lastError },
});

describe("the counters of scripts", () => {
  it("sum what all workers report", () => {
    const counters = new ScriptCounters();
    counters.take(1, [report(10, 1, "one")]);
    counters.take(2, [report(5), report(7, 0, null, "v2")]);
    counters.take(1, [report(12, 1, "one")]);
    expect(counters.of(host, "v1")).to.deep.equal({ calls: 17, errors: 1, lastError: "one" });
    expect(counters.of(host, "v2").calls).to.equal(7);
    expect(counters.of("b.example", "v1").calls).to.equal(0);
  });

  it("keep what a worker counted that was replaced", () => {
    const counters = new ScriptCounters();
    counters.take(1, [report(10, 2, "one")]);
    counters.left(1);
    counters.take(2, [report(3)]);
    expect(counters.of(host, "v1")).to.deep.equal({ calls: 13, errors: 2, lastError: "one" });
  });

  it("go on when a worker counts anew", () => {
    const counters = new ScriptCounters();
    counters.take(1, [report(10, 2, "one")]);
    counters.take(1, [report(4, 1, "two")]);
    expect(counters.of(host, "v1")).to.deep.equal({ calls: 14, errors: 3, lastError: "two" });
  });

  it("show the error that came last, whichever worker it came from", () => {
    const counters = new ScriptCounters();
    counters.take(2, [report(1, 1, "of the second")]);
    counters.take(1, [report(1, 1, "of the first")]);
    counters.take(2, [report(2, 1, "of the second")]);
    expect(counters.of(host, "v1").lastError).to.equal("of the first");
  });

  it("forget the versions that were reported longest ago, beyond ten thousand", () => {
    const counters = new ScriptCounters();
    counters.take(1, [report(1, 0, null, "old"), report(1, 0, null, "kept")]);
    const many = Array.from({ length: 9_999 }, (_, at) => report(1, 0, null, `n${at}`));
    counters.take(1, [report(2, 0, null, "kept"), ...many]);
    expect(counters.of(host, "old").calls).to.equal(0);
    expect(counters.of(host, "kept").calls).to.equal(2);
  });
});
