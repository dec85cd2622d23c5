import { expect } from "chai";
import { growthOf, mostGrowth } from "../../../test/support/cost.ts";
import { importsIn } from "./imports.ts";

describe("the imports of a source", () => {
  it("are those that V8 links, in all their forms", () => {
    const { modules, problem } = importsIn(`
      import "modules/a"; import b from "modules/b"; import * as c from "modules/c";
      import { type, d as "d e" } from 'modules/d';
      import type from "modules/e"; import source from "modules/f"; import defer from "modules/g";
      export * from "modules/h"; export * as i from "modules/i"; export { j } from "modules/j";
      import { k } from "modules/\\u006b"; import "others/l";
      const text = \`import "modules/no" \${1}\`; // import "modules/no";
      const pattern = /import "modules\\/no"/;
    `);
    expect(problem).to.equal(null);
    expect(modules).to.deep.equal([..."abcdefghijk"]);
  });

  const refused = {
    "import source x from 'modules/a'": /import source is not available/,
    "import defer * as x from 'modules/a'": /import defer is not available/,
    "import x from 'modules/a' with { type: 'json' }": /no attributes/,
    "import x from 'modules/a": /cannot be read/,
  };
  for (const [text, message] of Object.entries(refused)) {
    it(`are refused in ${text}`, () => expect(importsIn(text).problem?.message).to.match(message));
  }

  it("cost in proportion to the text, also where it looks like types", () => {
    const parts = ["export const a=<", "export let a=<!--", "import x,{", "`${", "export {a as b,"];
    for (const part of parts) {
      const call = (size: number) => {
        const text = part.repeat(size / part.length);
        return () => importsIn(text);
      };
      expect(growthOf(call, 16_000), part).to.be.below(mostGrowth);
    }
  });
});
