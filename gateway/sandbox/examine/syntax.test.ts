import { expect } from "chai";
import { handler, source, tables, useBenches } from "../fixtures/test-sandbox.ts";
import { checkScript } from "./check.ts";

describe("a hostile script", () => {
  const bench = useBenches();

  it("is refused asynchronous code and BigInt, wherever they hide", async () => {
    const late = /not available: a script answers at once$|SyntaxError/;
    const big = /^\w+n: there is no BigInt$/;
    const tries: readonly (readonly [string, RegExp])[] = [
      ["(async () => {})()", late],
      ["(async function () {})()", late],
      ["({ async a() {} })", late],
      ["({ async *a() {} })", late],
      ["class A { static async a() {} }", late],
      ["class A { async #a() {} }", late],
      ["class A { static { (async () => {})() } }", late],
      ["(async/**/x => x)", late],
      ["[...async\u2028() => 1]", late],
      [`/'/; async () => {}; /'/`, late],
      [["`\n// $", "{async () => {}}\n`"].join(""), late],
      ['"\\\n//"; async () => {}', late],
      [["1 / 2; `$", "{`$", "{async () => 1}`}`"].join(""), late],
      ["const { a = async () => 1 } = {}", late],
      [`import("modules/a")`, late],
      [`import/**/("modules/a")`, late],
      [`import.source("modules/a")`, late],
      ["import.meta", late],
      ["import\n('a')", late],
      ["2n ** 9n", big],
      ["0xFFn", big],
      ["1_000n", big],
      ["[0n]", big],
      ["({ 1n: 2 })", big],
      [["`$", "{2n}`"].join(""), big],
    ];
    for (const [text, expected] of tries) {
      const fault = await checkScript("a.example.com", tables(handler(text)));
      expect(fault?.message, text).to.match(expected);
    }
    for (const text of ["await 1;", "for await (const a of []);", "await using a = null;"]) {
      const fault = await checkScript("a.example.com", tables(`${text} export default () => {}`));
      expect(fault?.message, text).to.equal("await is not available: a script answers at once");
      expect(fault).to.include({ line: 1, column: 1 });
    }
    const module = tables(`import "modules/a"; export default () => {};`, { a: "async () => {};" });
    expect(await checkScript("a.example.com", module)).to.include({ key: "modules/a", column: 1 });
  });

  it("may speak of asynchronous code and of numbers like 10n", async () => {
    const text = `/* async, await, import(1), 10n */ // no async code here, nor await
      const names = { async: 1, await: 2, import: 3, "10n": 4 };
      export default () => deny(403, "<script async> await import('x') " + names.async + names.import
        + \`async () => {} 10n \` + /async () => 10n/.source + (names.await > 2 ? async : ""));
      const async = () => 1;
      async(async);`;
    expect(await checkScript("a.example.com", tables(text))).to.equal(null);
    const talks = bench(tables(text));
    expect(talks.request().exchange.status).to.equal(403);
    expect(source("a").version).to.have.length(64);
  });
});
