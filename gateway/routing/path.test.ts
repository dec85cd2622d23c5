import { expect } from "chai";
import { hasPrefix, normalisePath } from "./path.ts";

describe("normalisePath", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["/", "/"],
    ["/a/b.c/", "/a/b.c/"],
    ["/a./.b/..c", "/a./.b/..c"],
    ["//a///b", "/a/b"],
    ["/a/./b", "/a/b"],
    ["/a/../b", "/b"],
    ["/a/b/..", "/a/"],
    ["/a/.", "/a/"],
    ["/../../etc", "/etc"],
    ["/..", "/"],
    ["/a/%2e%2E/b", "/b"],
    ["/a/.%2e/b", "/b"],
    ["/a/%2E/b", "/a/b"],
    ["/%2ehidden", "/.hidden"],
    ["/a%2fb/%252e", "/a%2fb/%252e"],
    ["/a//../b", "/b"],
    ["*", "*"],
    ["", ""],
  ];
  for (const [path, plain] of cases) {
    it(`reads ${JSON.stringify(path)} as ${JSON.stringify(plain)}`, () => {
      expect(normalisePath(path)).to.equal(plain);
    });
  }
});

describe("hasPrefix", () => {
  it("matches whole segments alone", () => {
    expect(hasPrefix("/api", "/api")).to.equal(true);
    expect(hasPrefix("/api/x", "/api")).to.equal(true);
    expect(hasPrefix("/apix", "/api")).to.equal(false);
    expect(hasPrefix("/ap", "/api")).to.equal(false);
    expect(hasPrefix("*", "")).to.equal(true);
  });
});
