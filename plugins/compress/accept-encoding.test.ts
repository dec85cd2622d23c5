import { expect } from "chai";
import { chooseCoding } from "./accept-encoding.ts";

const codings = ["zstd", "br", "gzip"] as const;

describe("the coding that a client wants", () => {
  const cases: readonly (readonly [accept: string | undefined, chosen: string | null])[] = [
    [undefined, null],
    ["", null],
    ["gzip", "gzip"],
    ["x-gzip", "gzip"],
    ["GZIP", "gzip"],
    ["gzip, deflate, br, zstd", "zstd"],
    ["gzip, br", "br"],
    ["gzip;q=1.0, br;q=0.5", "gzip"],
    ["gzip;q=0", null],
    ["gzip;q=0.000, br;q=0.001", "br"],
    ["gzip;q=0.000, br;q=0.001, identity;q=0", "br"],
    ["*", "zstd"],
    ["*;q=0", null],
    ["zstd;q=0, *", "br"],
    ["identity", null],
    ["identity;q=0.5, gzip;q=0.2", null],
    ["identity;q=0.5, gzip;q=0.5", "gzip"],
    ["deflate", null],
    ["gzip;q=2", null],
    ["gzip;q=abc", null],
    ["gzip ; q=0.8", "gzip"],
    [",,gzip,,", "gzip"],
    [`gzip${" ".repeat(600)}`, null],
  ];
  for (const [accept, chosen] of cases) {
    it(`is ${chosen} by ${JSON.stringify(accept)?.slice(0, 60)}`, () => {
      expect(chooseCoding(accept, codings)).to.equal(chosen);
    });
  }
});
