import { expect } from "chai";
import { growthOf, mostGrowth } from "../../../test/support/cost.ts";
import {
  comparablePath,
  hasBadEscape,
  hasEncodedSlash,
  hasPrefix,
  isSuspicious,
  normalisePath,
  normalisePrefix,
} from "./path.ts";

describe("normalisePath", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["/", "/"],
    ["/a/b.c/", "/a/b.c/"],
    ["/a./.b/..c", "/a./.b/..c"],
    ["/.well-known/x", "/.well-known/x"],
    ["/...", "/..."],
    ["//", "/"],
    ["//a///b", "/a/b"],
    ["/a//", "/a/"],
    ["/a/./b", "/a/b"],
    ["/a/../b", "/b"],
    ["/a/b/..", "/a/"],
    ["/a/b/../", "/a/"],
    ["/a/.", "/a/"],
    ["/.", "/"],
    ["/..", "/"],
    ["/../../etc", "/etc"],
    ["/a/%2e%2E/b", "/b"],
    ["/a/.%2e/b", "/b"],
    ["/a/%2e", "/a/"],
    ["/a/%2E/b", "/a/b"],
    ["/%2e/admin", "/admin"],
    ["/%2ehidden", "/.hidden"],
    ["/a//../b", "/b"],
    ["/%61dmin", "/admin"],
    ["/adm%69n", "/admin"],
    ["/%41%5a%7E%2d%5F%30", "/AZ~-_0"],
    ["/caf%c3%a9", "/caf%C3%A9"],
    ["/%20%3f%23%25", "/%20%3F%23%25"],
    ["/%2561", "/%2561"],
    ["/%252e%252e/a", "/%252e%252e/a"],
    ["/a%2fb/%2F..", "/a%2Fb/%2F.."],
    ["/a%2f..", "/a%2F.."],
    ["/a%5c..%5Cb", "/a%5C..%5Cb"],
    ["/a\\b", "/a\\b"],
    ["/a;p=1/../b", "/b"],
    ["/a;/b", "/a;/b"],
    ["/%21%3b%3A%40", "/%21%3B%3A%40"],
    ["*", "*"],
    ["", ""],
  ];
  for (const [path, plain] of cases) {
    it(`reads ${JSON.stringify(path)} as ${JSON.stringify(plain)}`, () => {
      expect(normalisePath(path)).to.equal(plain);
      expect(normalisePath(plain), "again").to.equal(plain);
    });
  }

  it("says that what it does not change needs no look, but for escapes and backslashes", () => {
    for (const [path, plain] of cases) {
      if (!isSuspicious(path)) expect(plain).to.equal(path);
    }
    expect(isSuspicious("/a/b.c/d..e?f")).to.equal(false);
  });

  it("takes time in proportion to the length", () => {
    for (const piece of ["/a/..", "/%2e%2e", "%61", "//", "/.", "%2f", "/a"]) {
      const growth = growthOf((size) => {
        const path = `/${piece.repeat(size / piece.length)}`;
        return () => normalisePath(path);
      });
      expect(growth, piece).to.be.below(mostGrowth);
    }
  });
});

describe("a path", () => {
  it("has a bad escape when one cannot be decoded or is NUL", () => {
    for (const bad of [
      "/%",
      "/a%",
      "/%4",
      "/%zz",
      "/%4g",
      "/%g4",
      "/%%61",
      "/%00",
      "/a%00.b",
      "/%u0041",
    ])
      expect(hasBadEscape(bad), bad).to.equal(true);
    for (const good of ["/", "/%61", "/%2500", "/%25", "/%ff", "/%0a%30"])
      expect(hasBadEscape(good), good).to.equal(false);
  });

  it("has an encoded slash when a reader could take it for one", () => {
    for (const path of ["/a%2fb", "/a%2Fb", "/a%5cb", "/a%5Cb", "/a\\b"])
      expect(hasEncodedSlash(normalisePath(path)), path).to.equal(true);
    for (const path of ["/", "/a/b", "/a%252fb", "/%20"])
      expect(hasEncodedSlash(normalisePath(path)), path).to.equal(false);
  });
});

describe("normalisePrefix", () => {
  it("is in the form in which paths are matched", () => {
    const prefixes = ["/", "/a/", "//a//b/", "/%61dmin", "/a/../b"];
    expect(prefixes.map(normalisePrefix)).to.deep.equal(["", "/a", "/a/b", "/admin", "/b"]);
  });
});

describe("comparablePath", () => {
  it("has what is reserved unescaped, but for what ends a segment, a path or an escape", () => {
    const pairs = [
      ["/%40admin", "/@admin"],
      ["/v1/x%3Adelete", "/v1/x:delete"],
      ["/%7Ba%7D%5B1%5D", "/{a}[1]"],
      ["/%21%22%24%26%27%28%29%2A%2B%2C%3B%3C%3D%3E%5E%60%7C", "/!\"$&'()*+,;<=>^`|"],
    ] as const;
    for (const [path, comparable] of pairs) {
      expect(normalisePath(path)).to.equal(path);
      expect(comparablePath(path), path).to.equal(comparable);
    }
    for (const path of [
      "/a",
      "/a%2Fb",
      "/a%5Cb",
      "/%2540",
      "/a%3Fb",
      "/a%23b",
      "/a%20b",
      "/%C3%A9",
    ])
      expect(comparablePath(path), path).to.equal(path);
  });

  it("is the form of prefixes, however often they are brought into it", () => {
    for (const prefix of ["/%40admin", "/@admin/", "/%2540admin"]) {
      const once = normalisePrefix(prefix);
      expect(normalisePrefix(once)).to.equal(once);
    }
    expect(normalisePrefix("/%40admin/")).to.equal("/@admin");
  });
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
