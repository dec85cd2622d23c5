import { expect } from "chai";
import { growthOf, mostGrowth } from "../../test/support/cost.ts";
import { hashFromEnd, WildcardIndex } from "./wildcard-index.ts";

function indexOf(...keys: readonly string[]): WildcardIndex<string> {
  const index = new WildcardIndex<string>();
  for (const key of keys) index.set(key, key);
  return index;
}

describe("WildcardIndex", () => {
  const index = indexOf("*.test", "*.a.test", "*.b.a.test");

  it("finds the longest wildcard over a host", () => {
    const hosts = ["x.a.test", "x.b.a.test", "b.a.test", "y.x.b.a.test", "b.test", "test", ""];
    expect(hosts.map((host) => index.find(host))).to.deep.equal([
      "*.a.test",
      "*.b.a.test",
      "*.a.test",
      "*.b.a.test",
      "*.test",
      null,
      null,
    ]);
  });

  it("finds the next shorter wildcard", () => {
    const host = "x.b.a.test";
    expect(index.find(host, "*.b.a.test".length - 1)).to.equal("*.a.test");
    expect(index.find(host, "*.a.test".length - 1)).to.equal("*.test");
    expect(index.find(host, "*.test".length - 1)).to.equal(null);
  });

  it("forgets a wildcard that is taken out, and leaves what it was made from as it was", () => {
    const next = new WildcardIndex(index);
    next.set("*.a.test", null);
    next.set("*.test", "other");
    expect([next.find("x.a.test"), index.find("x.a.test")]).to.deep.equal(["other", "*.a.test"]);
  });

  it("tells wildcards apart whose suffixes have the same hash", () => {
    const seen = new Map<number, string>();
    let twins: readonly [string, string] | null = null;
    for (let i = 0; twins === null; i += 1) {
      const domain = `d${i}.example.com`;
      const hash = hashFromEnd(`.${domain}`);
      const other = seen.get(hash);
      if (other !== undefined) twins = [other, domain];
      seen.set(hash, domain);
    }
    const [one, two] = twins;
    const only = indexOf(`*.${one}`);
    expect([only.find(`x.${one}`), only.find(`x.${two}`)]).to.deep.equal([`*.${one}`, null]);
    const both = indexOf(`*.${one}`, `*.${two}`);
    expect(both.find(`x.${two}`)).to.equal(`*.${two}`);
    both.set(`*.${one}`, null);
    expect([both.find(`x.${one}`), both.find(`x.${two}`)]).to.deep.equal([null, `*.${two}`]);
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
