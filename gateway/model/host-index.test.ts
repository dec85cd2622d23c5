import { expect } from "chai";
import { growthOf, mostGrowth } from "../../test/support/cost.ts";
import { HostIndex } from "./host-index.ts";

describe("HostIndex", () => {
  const index = new HostIndex(
    new Map(["a.test", "*.test", "*.a.test", "*.b.a.test"].map((key) => [key, key])),
  );

  it("finds a host's own entry, then that of its longest wildcard", () => {
    const found = [
      "a.test",
      "x.a.test",
      "x.b.a.test",
      "b.a.test",
      "y.x.b.a.test",
      "b.test",
      "test",
    ];
    expect(found.map((host) => index.find(host))).to.deep.equal([
      "a.test",
      "*.a.test",
      "*.b.a.test",
      "*.a.test",
      "*.b.a.test",
      "*.test",
      null,
    ]);
  });

  it("finds the next shorter wildcard", () => {
    const host = "x.b.a.test";
    expect(index.findWildcard(host, "*.b.a.test".length - 1)).to.equal("*.a.test");
    expect(index.findWildcard(host, "*.a.test".length - 1)).to.equal("*.test");
    expect(index.findWildcard(host, "*.test".length - 1)).to.equal(null);
  });

  it("looks at no host that is too long to be one", () => {
    expect(index.find(`${"x.".repeat(200)}test`)).to.equal(null);
    const growth = growthOf((size) => {
      const host = `${".".repeat(size)}test`;
      return () => {
        for (let n = 0; n < 1_000; n += 1) index.find(host);
      };
    });
    expect(growth).to.be.below(mostGrowth);
  });
});
