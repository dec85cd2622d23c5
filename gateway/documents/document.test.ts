import { expect } from "chai";
import { DocumentError } from "./document-error.ts";
import { parseHostDocument, parseUpstreamDocument } from "./index.ts";

describe("what is said of a document that is all wrong", () => {
  const many = (count: number, part: (at: number) => string) =>
    Array.from({ length: count }, (_, at) => part(at)).join(",");

  function problemOf(parse: () => unknown): string {
    try {
      parse();
    } catch (error) {
      if (error instanceof DocumentError) return error.problem;
      throw error;
    }
    throw new Error("nothing is wrong with it");
  }

  it("counts what it does not name, of values and of names", () => {
    const values = problemOf(() =>
      parseUpstreamDocument("u", `{"servers":[${many(1_000, String)}]}`),
    );
    expect(values).to.match(/^servers\[0\]: 0 is not an object; .*; and 990 more$/);
    const names = problemOf(() =>
      parseUpstreamDocument("u", `{"servers":[],${many(1_000, (at) => `"k${at}":1`)}}`),
    );
    expect(names).to.contain('unknown fields "k0", "k1"').and.to.contain("and 990 more");
  });

  it("is short, however long the names are", () => {
    const long = "x".repeat(400_000);
    for (const text of [
      `{"${long}":1}`,
      `{"paths":{"/${long}":1}}`,
      `{"paths":{"/..${long}/..":"u"}}`,
      `{"paths":"${long}"}`,
    ]) {
      expect(problemOf(() => parseHostDocument("h", text)).length).to.be.below(2_000);
    }
  });
});
