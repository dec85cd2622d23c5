import { expect } from "chai";
import { type DocumentKind, kinds, SiteNames } from "../model/index.ts";
import { DocumentError } from "./document-error.ts";
import { parseEntryName } from "./entry-name.ts";

const read = (kind: DocumentKind, name: string) =>
  parseEntryName(kind, `sluice/${kinds[kind].folder}${name}`, name, new SiteNames("dc1"));

describe("the name in a key", () => {
  it("is a host in lower case, or a wildcard", () => {
    expect(read("host", "Shop.Example")).to.equal("shop.example");
    expect(read("script", "*.example.com")).to.equal("*.example.com");
    expect(read("host", "10.0.0.1")).to.equal("10.0.0.1");
    expect(read("host", "MÜLLER.example")).to.equal("xn--mller-kva.example");
    expect(read("script", "*.bücher.example")).to.equal("*.xn--bcher-kva.example");
    expect(read("host", "[::1]")).to.equal("[::1]");
    expect(read("host", "[0:0::0:1]")).to.equal("[::1]");
  });

  it("is the site of a service in every spelling, and of wildcards that mean the same", () => {
    for (const kind of ["host", "script", "agreement"] as const) {
      for (const name of ["shop", "Shop.service.consul", "shop.service.dc1.consul"])
        expect(read(kind, name)).to.equal("shop");
      expect(read(kind, "_shop._tcp.service.consul")).to.equal("shop");
      expect(read(kind, "shop.service.dc2.consul")).to.equal("shop.service.dc2.consul");
      expect(read(kind, "*.service.dc1.consul")).to.equal("*.service.consul");
      expect(read(kind, "*.dc1.consul")).to.equal("*.service.consul");
      expect(read(kind, "*.shop.service.dc1.consul")).to.equal("*.shop.service.consul");
      for (const name of ["v2.shop.service.consul", "_shop._v2.service.dc1.consul"])
        expect(() => read(kind, name)).to.throw(DocumentError, "what is kept for shop holds");
    }
  });

  it("keeps its spelling elsewhere", () => {
    expect(read("upstream", "node-dev.Example")).to.equal("node-dev.Example");
    expect(read("module", "lib/util")).to.equal("lib/util");
    expect(read("setting", "limits")).to.equal("limits");
  });

  it("is refused by key when it is no name", () => {
    const cases: readonly (readonly [DocumentKind, string])[] = [
      ["host", ""],
      ["host", "a/"],
      ["host", "a/b"],
      ["host", "*"],
      ["host", "*.*.example"],
      ["host", "a..b"],
      ["host", "a.b."],
      ["host", "-a.b"],
      ["host", "a b"],
      ["host", "ü b.example"],
      ["host", "a％2fb.example"],
      ["host", `${"ü".repeat(64)}.example`],
      ["host", `${"a".repeat(64)}.example`],
      ["host", "example.com:80"],
      ["host", `${"a.".repeat(126)}ab`],
      ["host", `*.${"a.".repeat(125)}ab`],
      ["host", "[1.2.3.4]"],
      ["host", "[::1%eth0]"],
      ["host", "[1:2:3:4:5:6:7:8:9]"],
      ["host", "%61.example"],
      ["script", "*.[::1]"],
      ["upstream", "a/b"],
      ["upstream", ""],
      ["module", "../x"],
      ["module", "a/../b"],
      ["module", "/a"],
      ["setting", "__proto__"],
      ["setting", "a/b"],
    ];
    for (const [kind, name] of cases)
      expect(() => read(kind, name), `${kind} ${name}`)
        .to.throw(DocumentError)
        .that.includes({ code: "bad_key", key: `sluice/${kinds[kind].folder}${name}` });
  });

  it("is said to be a folder when it is one", () => {
    expect(() => read("host", "")).to.throw("sluice/hosts/: is a folder, not a host");
    expect(() => read("upstream", "")).to.throw("is a folder, not the name of an upstream");
  });
});
