import { expect } from "chai";
import { DocumentError } from "./document-error.ts";
import { parseHostDocument } from "./host-document.ts";
import { orderFault, parseOrderName } from "./order-name.ts";

describe("a host that a certificate is ordered for", () => {
  it("has one spelling", () => {
    for (const name of ["Shop.Example", "shop.example.", "SHOP.EXAMPLE."])
      expect(parseOrderName(name)).to.equal("shop.example");
    expect(parseOrderName("münchen.example")).to.equal("xn--mnchen-3ya.example");
  });

  const wrong: readonly (readonly [string, RegExp])[] = [
    ["*.example.com", /wildcard, which needs DNS-01/],
    ["127.0.0.1", /is an address/],
    ["[::1]", /is an address/],
    ["localhost", /has no dot/],
    ["a_b.example", /underscore/],
    ["a b.example", /is no host/],
    ["", /is no host/],
    [`${"a.".repeat(123)}example`, /more than 240 characters/],
  ];
  for (const [name, reason] of wrong)
    it(`is not ${JSON.stringify(name.slice(0, 40))}`, () => {
      expect(parseOrderName(name)).to.equal(null);
      expect(orderFault(name)).to.match(reason);
    });

  it("may be named by its document, and a wildcard may not", () => {
    const text = JSON.stringify({ paths: { "/": "shop" }, certificate: "acme" });
    expect(parseHostDocument("sluice/hosts/shop.example", text).ordersCertificate).to.equal(true);
    expect(() => parseHostDocument("sluice/hosts/*.example", text))
      .to.throw(DocumentError)
      .with.property("message")
      .that.matches(/certificate: .*DNS-01/);
  });
});
