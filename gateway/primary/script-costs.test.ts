import { expect } from "chai";
import { ScriptCosts } from "./script-costs.ts";

const report = (version: string, usualMs?: number) => ({
  ...{ host: "a.example", version, calls: 20, errors: 0, lastError: null },
  ...(usualMs === undefined ? {} : { usualMs }),
});

describe("what calls of scripts cost", () => {
  it("is told when it is found, and again when it is another", () => {
    const costs = new ScriptCosts();
    expect(costs.take([report("v1")])).to.deep.equal([]);
    const first = { host: "a.example", version: "v1", usualMs: 0.01 };
    expect(costs.take([report("v1", 0.01)])).to.deep.equal([first]);
    expect(costs.take([report("v1", 0.03), report("v1", 0)])).to.deep.equal([]);
    expect(costs.take([report("v1", 1)])).to.deep.equal([{ ...first, usualMs: 1 }]);
    expect(costs.take([report("v1", 1.5)])).to.deep.equal([]);
    expect(costs.take([report("v1", 0.4)])).to.deep.equal([{ ...first, usualMs: 0.4 }]);
    expect(costs.take([report("v2", 0.01)])).to.have.length(1);
  });

  it("is told all at once to a worker that begins, and forgotten when there is too much", () => {
    const costs = new ScriptCosts();
    for (let at = 0; at < 10_100; at += 1) costs.take([report(`v${at}`, 0.01)]);
    const versions = costs.all().map(({ version }) => version);
    expect(versions).to.have.length(10_000);
    expect([versions[0], versions.at(-1)]).to.deep.equal(["v100", "v10099"]);
  });
});
