import { expect } from "chai";
import { parseSetting } from "./setting.ts";

describe("a setting", () => {
  it("is any JSON", () => {
    expect(parseSetting("sluice/settings/a", '{"a": [1, null, "x"]}')).to.deep.equal({
      a: [1, null, "x"],
    });
    expect(parseSetting("sluice/settings/a", "0")).to.equal(0);
  });

  it("is refused when it is not JSON, with the place", () => {
    expect(() => parseSetting("sluice/settings/a", "on")).to.throw(
      'sluice/settings/a: is not JSON at line 1, column 1: found "o" where a value is expected',
    );
  });

  it("is refused when it is so deep that whoever copies it would overflow", () => {
    const nest = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
    expect(parseSetting("k", nest(64))).to.be.an("array");
    expect(() => parseSetting("k", nest(65))).to.throw("k: is nested more than 64 deep");
    expect(() => parseSetting("k", nest(200_000))).to.throw("k: is nested more than 64 deep");
  });
});
