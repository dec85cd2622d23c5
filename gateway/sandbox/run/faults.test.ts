import { expect } from "chai";
import { tables, useBenches } from "../fixtures/test-sandbox.ts";

const victim = "victim.example.com";
const forged = `scripts/${victim}:7:7`;

describe("the place of an error", () => {
  const bench = useBenches();
  const forgeries = {
    "a comment that names a source": `export default () => { null.x; };\n//# sourceURL=scripts/${victim}`,
    "the same with quotes": `export default () => { null.x; };\n//# sourceURL='scripts/${victim}'`,
    "the text of an error": `export default () => { throw new Error("(${forged})"); };`,
    "a line in the text of an error": `export default () => { throw new Error("x\\n    at ${forged}"); };`,
    "the stack of an error": `export default () => { const e = new Error("x"); e.stack = "at ${forged}"; throw e; };`,
    "the name of an error": `export default () => { const e = new Error("x"); e.name = "(${forged})"; throw e; };`,
    "what a top level throws": `throw new Error("x [${forged}]"); export default () => {};`,
    "an error of the parser": `export default () => { throw "x" };\n//# sourceURL=scripts/${victim}\n?`,
  };
  for (const [what, text] of Object.entries(forgeries)) {
    it(`is never in another host's script, whatever ${what} says`, () => {
      const one = bench(tables({ "a.example.com": text, [victim]: "export default () => {};" }));
      expect(one.request().exchange.status).to.equal(500);
      expect(one.report().lastError).to.match(/^scripts\/a\.example\.com:/);
      expect(one.report(victim)).to.include({ calls: 0, errors: 0, lastError: null });
    });
  }

  it("is in the module that threw, where the script imports it", () => {
    const one = bench(
      tables('import { f } from "modules/m"; export default () => f();', {
        m: "\nexport const f = () => null.x;\n//# sourceURL=modules/other",
      }),
    );
    one.request();
    expect(one.report().lastError).to.match(/^modules\/m:2:\d+: TypeError/);
  });
});
