import { expect } from "chai";
import { tables } from "../fixtures/test-sandbox.ts";
import { checkScript } from "../index.ts";
import { defaultSandboxLimits } from "../limits.ts";
import type { ScriptTables } from "../sandbox.ts";

const good = "export default () => {};";
const check = (given: ScriptTables) => checkScript("a.example.com", given);

/** What is wrong with a script, and the fault as `key:line:column message`. */
const faults: Readonly<Record<string, readonly [ScriptTables, RegExp]>> = {
  "a syntax error": [
    tables("export default function (request) {\n  return deny(403;\n}"),
    /^scripts\/a\.example\.com:2:\d+ SyntaxError: missing \) after argument list$/,
  ],
  "a syntax error in a module": [
    tables(`import "modules/one"; ${good}`, {
      one: `import "modules/two";`,
      two: "\n  const a = ;",
    }),
    /^modules\/two:2:13 SyntaxError: Unexpected token ';'/,
  ],
  "what takes its reader long": [
    tables(Array.from({ length: 40_000 }, (_, at) => `let a${at};`).join("") + good),
    /^scripts\/a\.example\.com:1:1 SyntaxError: reading it takes more than 1000 ms of processor time$/,
  ],
  "a pattern that V8 may not survive": [
    tables(`${good}\n/\\p{RGI_Emoji}/v;`),
    /:2:1 a regular expression has properties of characters/,
  ],
  "a pattern of many groups": [
    tables(`${good}\n/${"(a)?".repeat(600)}/;`),
    /:2:1 a regular expression has at most 1,000 groups and repetitions$/,
  ],
  "a missing module": [
    tables(`\nimport one from 'modules/one'; ${good}`),
    /^scripts\/a\.example\.com:2:17 import "modules\/one": there is no such key$/,
  ],
  "a module missing for a module": [
    tables(`import "modules/one"; ${good}`, { one: `import "modules/two";` }),
    /^modules\/one:1:8 import "modules\/two": there is no such key$/,
  ],
  "a cycle": [
    tables(`import "modules/one"; ${good}`, {
      one: `import "modules/two";`,
      two: `import "modules/one";`,
    }),
    /^modules\/two:1:8 the imports make a cycle: modules\/one -> modules\/two -> modules\/one$/,
  ],
  "a module that imports itself": [
    tables(`import "modules/one"; ${good}`, { one: `import "modules/one";` }),
    /^modules\/one:1:8 the imports make a cycle: modules\/one -> modules\/one$/,
  ],
  "an import of something else": [
    tables(`import fs from "node:fs"; ${good}`),
    /^scripts\/a\.example\.com:1:16 import "node:fs": only "modules\/<name>" can be imported$/,
  ],
  "an import that a module does not export": [
    tables(`import { two } from "modules/one"; ${good}`, { one: "export const one = 1" }),
    /^scripts\/a\.example\.com:1:21 modules\/one has no export named two$/,
  ],
  "a long regular expression that no test reaches": [
    tables(
      `export default ({ path }) => {\n  if (path === "/x") return /${"a|".repeat(4_097)}/.test(path);\n}`,
    ),
    /^scripts\/a\.example\.com:2:29 a regular expression has at most 8,192 characters, 1,024 with/,
  ],
  "a long regular expression for all alphabets in a module": [
    tables(`import "modules/one"; ${good}`, { one: `() => /[${"\\w\\W".repeat(300)}]/iu;` }),
    /^modules\/one:1:7 a regular expression has at most/,
  ],
  "no default export": [
    tables("export const match = {};"),
    /the default export must be a function/,
  ],
  "a module of CommonJS": [
    tables("const limit = 1;\nmodule.exports = (request) => {};"),
    /^scripts\/a\.example\.com:2:1 .*module is not defined: a script is no CommonJS: export default stands for/,
  ],
  "a source that requires another": [
    tables(`const one = require("modules/one"); ${good}`),
    /require is not defined: a script is no CommonJS: .* import for require$/,
  ],
  "a mistyped export": [
    tables(`\nexport const macth = {}; ${good}`),
    /^scripts\/a\.example\.com:2:14 the export macth means nothing: did you mean match\?$/,
  ],
  "an export in another case": [
    tables(`export function OnResponse() {} ${good}`),
    /the export OnResponse means nothing: did you mean onResponse\?$/,
  ],
  "tests in the singular": [
    tables(`const all = []; export { all as test }; ${good}`),
    /^scripts\/a\.example\.com:1:33 the export test means nothing: did you mean tests\?$/,
  ],
  "an export out of a pattern that is like none": [
    tables(`export const { a: [, helper = 1] } = { a: [] }; ${good}`),
    /the export helper means nothing: it may be default, match, onError, onResponse, rollout/,
  ],
  "an export of a whole module": [
    tables(`${good}\nexport * from "modules/one";`, {
      one: `export * from "modules/two"; export const tests = [];`,
      two: "export const shedule = {}; export default 1;",
    }),
    /^scripts\/a\.example\.com:2:1 the export shedule means nothing: did you mean schedule\?$/,
  ],
  "a source phase import": [
    tables(`import source one from "modules/one"; ${good}`, { one: "" }),
    /^scripts\/a\.example\.com:1:1 import source is not available$/,
  ],
  "an import with attributes": [
    tables(`import "modules/one" with { type: "json" }; ${good}`, { one: "" }),
    /^scripts\/a\.example\.com:1:\d+ an import has no attributes here$/,
  ],
  "more imports than one source may have": [
    tables(Array.from({ length: 101 }, (_, at) => `import "modules/m${at}";`).join("\n") + good),
    /^scripts\/a\.example\.com:101:1 it imports more than 100 modules$/,
  ],
  "more modules than a script may need": [
    tables(`import "modules/m0"; ${good}`, chainOf(11, 100)),
    /^scripts\/a\.example\.com:0:0 it needs more than 1000 modules/,
  ],
  "what nests so deep that its imports cannot be read": [
    tables(`${"[".repeat(1_100)}${"]".repeat(1_100)}; ${good}`),
    /its imports cannot be read: it is no JavaScript, or nests too deep$/,
  ],
  "a default export that is no function": [
    tables("export default { a: 1 };"),
    /the default export must be a function/,
  ],
  "a generator as default export": [
    tables("export default function* () {}"),
    /the default export must be a function/,
  ],
  "an async default export": [
    tables("\nexport default async function () {}"),
    /^scripts\/a\.example\.com:2:16 async is not available: a script answers at once$/,
  ],
  "an onResponse that is no function": [
    tables(`${good} export const onResponse = 1;`),
    /onResponse must be a function/,
  ],
  "a match of unknown fields": [
    tables(`${good} export const match = { method: ["GET"] };`),
    /match\.method is not known/,
  ],
  "a match of methods in lower case": [
    tables(`${good} export const match = { methods: ["get"] };`),
    /match\.methods must be a list of strings like "GET"/,
  ],
  "a match of paths without a slash": [
    tables(`${good} export const match = { paths: ["api"] };`),
    /match\.paths must be a list of strings starting with \//,
  ],
  "a match that is a string": [
    tables(`${good} export const match = "GET";`),
    /match must be an object/,
  ],
  "a match with a hostile getter": [
    tables(`${good} export const match = { get methods() { for (;;); } };`),
    /ran longer than 100 ms/,
  ],
  "a top level that throws": [
    tables(`const a = 1;\nthrow new RangeError("no");\n${good}`),
    /^scripts\/a\.example\.com:2:7 RangeError: no$/,
  ],
  "a module's top level that throws": [
    tables(`import "modules/one"; ${good}`, { one: "\n\nnull.a;" }),
    /^modules\/one:3:6 TypeError: Cannot read properties of null/,
  ],
  "a top level that never ends": [
    tables(`for (;;);\n${good}`),
    /^scripts\/a\.example\.com:1:\d+ ran longer than 100 ms$/,
  ],
  "a top level that throws what never ends being looked at": [
    tables(`throw { get message() { for (;;); } };\n${good}`),
    /did not load within 1000 ms/,
  ],
  "a top level that eats memory": [
    tables(`const all = [];\nfor (;;) all.push("x".repeat(1e6) + all.length);\n${good}`),
    /ran out of memory|ran longer than/,
  ],
  "a match of paths with a bad escape": [
    tables(`export const match = { paths: ["/a%zz"] };\n${good}`),
    /match\.paths must be a list of strings starting with \//,
  ],
  "a match of paths with a query": [
    tables(`export const match = { paths: ["/a?b"] };\n${good}`),
    /match\.paths must be a list of strings starting with \//,
  ],
  "a host without a script": [tables({}), /^scripts\/a\.example\.com:0:0 there is no such key$/],
};

/** A module for each of `width`, `depth` times: the first of each row imports the next row. */
function chainOf(depth: number, width: number): Readonly<Record<string, string>> {
  const modules: Record<string, string> = {};
  for (let row = 0; row < depth; row += 1) {
    const next = Array.from({ length: width }, (_, at) => `import "modules/m${row + 1}-${at}";`);
    modules[row === 0 ? "m0" : `m${row}-0`] = next.join("");
    for (const at of next.keys()) modules[`m${row + 1}-${at}`] = "";
  }
  return modules;
}

describe("checkScript", () => {
  for (const [name, [given, expected]] of Object.entries(faults)) {
    it(`finds ${name}`, async () => {
      const fault = await check(given);
      expect(fault).to.not.equal(null);
      expect(`${fault?.key}:${fault?.line}:${fault?.column} ${fault?.message}`).to.match(expected);
    });
  }

  it("finds nothing wrong with a good script and its modules", async () => {
    const text = `import { limit } from "modules/limit"; import "modules/other";
      export const match = { methods: ["GET"], paths: ["/"] };
      export default function (request) { if (request.path.length > limit) return deny(414); }
      export function onResponse(response) {}`;
    const modules = {
      limit: "export const limit = settings.max;",
      other: `import "modules/limit";`,
    };
    expect(await check(tables(text, modules, { max: 5 }))).to.equal(null);
  });

  it("leaves the caller's loop free while a script burns its time", async () => {
    let turns = 0;
    const turn = setInterval(() => {
      turns += 1;
    }, 1);
    // So long that the loop has many turns on a busy machine, too.
    const limits = { ...defaultSandboxLimits, callTimeoutMs: 100 };
    try {
      const fault = await checkScript("a.example.com", tables(`for (;;);\n${good}`), limits);
      expect(fault?.message).to.equal("ran longer than 1000 ms");
    } finally {
      clearInterval(turn);
    }
    expect(turns).to.be.above(10);
  });

  it("does not put a whole text or its controls into the message", async () => {
    const fault = await check(tables(`throw new Error("\\u001b[2J\\n\\u202e" + "x".repeat(1e5))`));
    expect(fault?.message).to.match(/^Error: \\u001b\[2J\\u000a\\u202ex{400,}\.\.\.$/);
    expect(fault?.message.length).to.be.below(600);
  });
});
