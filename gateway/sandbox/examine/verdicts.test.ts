import { expect } from "chai";
import type { Json } from "../../model/index.ts";
import { tables } from "../fixtures/test-sandbox.ts";
import type { ScriptTables } from "../sandbox.ts";
import { Verdicts } from "./verdicts.ts";

const host = "a.example.com";

function counted() {
  const counter = { calls: 0 };
  const examine = new Verdicts().remember(async (_host, _tables, isWanted) => {
    counter.calls += 1;
    const fault = { key: host, line: 1, column: 1, message: `number ${counter.calls}` };
    return isWanted?.() === false
      ? { fault: { ...fault, message: "superseded" }, declared: null, passed: 0 }
      : { fault, declared: null, passed: 0 };
  });
  const callsFor = async (...all: readonly ScriptTables[]) => {
    const before = counter.calls;
    for (const one of all) await examine(host, one);
    return counter.calls - before;
  };
  return { examine, callsFor };
}

const of = (text: string, module: string, setting: Record<string, Json> = {}) =>
  tables(text, { one: module, other: module }, setting);

describe("what examinations found", () => {
  it("is remembered for the same source, modules and settings", async () => {
    const { callsFor } = counted();
    const text = `import "modules/one"; export default () => settings.a;`;
    expect(await callsFor(of(text, "1", { a: 1 }), of(text, "1", { a: 1 }))).to.equal(1);
    expect(await callsFor(of(text, "2", { a: 1 }))).to.equal(1);
    expect(await callsFor(of(text, "1", { a: 2 }), of(text, "1", { a: 1, b: 1 }))).to.equal(2);
    expect(await callsFor(of(`${text} `, "1", { a: 1 }))).to.equal(1);
    expect(await callsFor(of(text, "1", { a: 1 })), "the first").to.equal(0);
  });

  it("does not depend on settings that nothing can see, nor on modules that it does not need", async () => {
    const { callsFor } = counted();
    const blind = `export default () => deny(403);`;
    expect(await callsFor(of(blind, "1", { a: 1 }), of(blind, "2", { a: 2 }))).to.equal(1);
    const through = `import "modules/one"; ${blind}`;
    const sees = "export const a = globalThis;";
    expect(await callsFor(of(through, sees, { a: 1 }), of(through, sees, { a: 2 }))).to.equal(2);
    const escaped = "export default () => s\\u0065ttings.a;";
    expect(await callsFor(of(escaped, "", { a: 1 }), of(escaped, "", { a: 2 }))).to.equal(2);
  });

  it("tells hosts apart, and a module that is not there from one that is", async () => {
    const { examine, callsFor } = counted();
    const text = `import "modules/one"; export default 1;`;
    await examine("b.example.com", tables({ "b.example.com": text }));
    expect(await callsFor(tables(text), of(text, ""))).to.equal(2);
  });

  it("is nothing when the source was replaced before its turn", async () => {
    const { examine, callsFor } = counted();
    const given = of("export default 1;", "");
    const { fault } = await examine(host, given, () => false);
    expect(fault?.message).to.equal("superseded");
    expect(await callsFor(given, given)).to.equal(1);
  });
});
