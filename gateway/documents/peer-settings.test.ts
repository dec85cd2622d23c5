import { expect } from "chai";
import { DocumentError } from "./document-error.ts";
import { formatPeerSettings, parsePeerAddress, parsePeerSettings } from "./peer-settings.ts";

const read = (value: unknown) => parsePeerSettings("sluice/peers/web", JSON.stringify(value));

describe("the settings of peers", () => {
  it("are read and written, with nothing lost", () => {
    const since = "2026-01-01T00:00:00.000Z";
    const settings = {
      "10.0.0.1:80": { isDrained: true, weight: null, by: "ada", since },
      "[::1]:80": { isDrained: false, weight: 7, by: "", since: "" },
    };
    expect(parsePeerSettings("k", formatPeerSettings(settings))).to.deep.equal(settings);
    expect(read({ "10.0.0.1:80": {} })).to.deep.equal({
      "10.0.0.1:80": { isDrained: false, weight: null, by: "", since: "" },
    });
  });

  it("name addresses in one spelling", () => {
    expect(parsePeerAddress("10.0.0.1:80")).to.equal("10.0.0.1:80");
    expect(parsePeerAddress("[::1]:80")).to.equal("[::1]:80");
    expect(parsePeerAddress("shop-1.internal:8080")).to.equal("shop-1.internal:8080");
    const wrong = ["", ":80", "10.0.0.1", "10.0.0.1:", "10.0.0.1:080", "10.0.0.256:80", "::1:80"];
    for (const text of [...wrong, "[10.0.0.1]:80", "a b:80", "a:65536", "a:0", "a/b:1", "a\n:80"])
      expect(parsePeerAddress(text), text).to.equal(null);
  });

  it("are refused by what is wrong with them", () => {
    const faults: readonly (readonly [value: unknown, message: RegExp])[] = [
      [[], /is not an object/],
      [{ web: {} }, /"web" is not a peer's ADDRESS:PORT/],
      [{ "a:1": { weight: 0 } }, /\["a:1"\]\.weight: 0 is below 1/],
      [{ "a:1": { drain: true } }, /unknown field "drain"/],
      [{ "a:1": true }, /is not an object/],
      [Object.fromEntries(Array.from({ length: 1_001 }, (_, at) => [`a:${at + 1}`, {}])), /1000/],
    ];
    for (const [value, message] of faults)
      expect(() => read(value))
        .to.throw(DocumentError)
        .with.property("message")
        .that.matches(message)
        .and.matches(/^sluice\/peers\/web: /);
    // It is not an address, and it must not become a prototype.
    expect(() => parsePeerSettings("k", '{"__proto__":{"drained":true}}')).to.throw(
      DocumentError,
      /no field can have the name "__proto__"/,
    );
  });
});
