import { expect } from "chai";
import { attacks, syntax } from "../../../bench/scripts/attacks.ts";
import { reportsOf } from "../fixtures/reporting-process.ts";
import { Bench, tables } from "../fixtures/test-sandbox.ts";

/**
 * Expressions over built-ins that are bounded. What they give is compared with what this process gives,
 * as JSON in which `undefined` can be told from `null`.
 */
const same: Readonly<Record<string, readonly string[]>> = {
  "searching in texts": [
    `"abcabc".indexOf("c", 3)`,
    `"abcabc".lastIndexOf("c")`,
    `"abcabc".lastIndexOf("c", 3)`,
    `"a1".includes(1)`,
    `"abc".startsWith("b", 1)`,
    `"abc".endsWith("b", 2)`,
    `"abc".includes()`,
    `"undefined".indexOf()`,
  ],
  replacing: [
    `"a.b.c".replace(".", "-")`,
    `"a.b.c".replaceAll(".", "-$&-")`,
    `"abc".replaceAll("", "-")`,
    `"john smith".replace(/(\\w+)\\s(\\w+)/, "$2, $1 $$ $\` $' $3 $0 $10 $02")`,
    `"x1y2".replace(/(?<letter>[a-z])(?<digit>\\d)/g, "$<digit>$<letter>$<none>$<")`,
    `"x1y2".replace(/([a-z])(\\d)/g, (all, letter, digit, at, text) => [all, letter, digit, at, text].join())`,
    `"x1".replace(/(?<a>x)/, (...values) => JSON.stringify(values))`,
    `"abc".replace("b", () => undefined)`,
    `"abc".replace({ [Symbol.replace]: (text, by) => text + by }, "d")`,
    `"aaa".replace(/a/y, "b")`,
  ],
  // Long enough that what is put in is put in by the gateway's own code.
  "replacing in long texts": [
    `("ab".repeat(2e3)).replace(/(a)(b)/g, "$2$1$$-$3$12").slice(0, 40)`,
    `("ab".repeat(2e3)).replace(/(?<x>a)(z)?/g, "[$<x>$2$<y>]").slice(0, 40)`,
    `("ab".repeat(2e3) + "c").replace("c", "$\`".repeat(3) + "$'" + "$1$&").length`,
    `("ab".repeat(2e3)).replaceAll("ba", "<$&>").slice(0, 40)`,
  ],
  splitting: [
    `"a,b,,c".split(",")`,
    `"a,b,,c".split(",", 2)`,
    `"abc".split("")`,
    `"abc".split()`,
    `"a1b2".split(/(\\d)/)`,
    `"a1b".split(1)`,
    `"abc".split({ [Symbol.split]: (text, limit) => [text, limit] }, 3)`,
  ],
  matching: [
    `"a1b2".match(/\\d/g)`,
    `"a1b2".match(/(\\d)/)`,
    `"a1b2".match("b.")`,
    `"abc".match()`,
    `[..."a1b2".matchAll(/[a-z](\\d)/g)].map((found) => found[1])`,
    `[..."a1b2".matchAll("\\\\d")].length`,
    `(() => { try { "a".matchAll(/a/); } catch (error) { return error.name; } })()`,
    `(() => { try { "a".replaceAll(/a/, ""); } catch (error) { return error.name; } })()`,
    `"abc".search(/c/)`,
    `"abc".search("b")`,
    `/b/.test("abc")`,
    `/(b)/.exec("abc").index`,
    `(() => { const found = /a/g; found.test("aa"); return found.lastIndex; })()`,
    `String(new RegExp("a/b", "gi"))`,
    `/a/ instanceof RegExp`,
  ],
  "other texts": [
    `"a".concat(1, null, "b")`,
    `"ab".repeat(3)`,
    `"5".padStart(3, 0) + "5".padEnd(3)`,
    `"e\\u0301".normalize().length + "\\u00e9".normalize("NFD").length`,
    `String.raw({ raw: ["a\\n", "b", "c"] }, 1, 2, 3)`,
    `String.raw({ raw: "abc" }, 1, 2, 3)`,
    `[..."a\\u{1f600}b"].length`,
    `"AbC".toLowerCase() + "AbC".toUpperCase() + " a ".trim()`,
    `"abc".at(-1) + "abc".slice(-2) + "abc".substring(2, 0) + "abc".substr(-2, 1)`,
    `parseInt("12px") + parseInt("ff", 16) + parseFloat("1.5") + Number.parseInt("7")`,
    `encodeURIComponent("a b/ä") + decodeURIComponent("%20") + escape("ä") + encodeURI("a b")`,
  ],
  dates: [
    `new Date(0).toISOString() + new Date(2020, 1, 2).getMonth() + new Date("2020-01-02T03:04:05Z").getTime()`,
    `new Date(new Date(5.5)).getTime() + new Date({ valueOf: () => 7 }).getTime() + new Date({ toString: () => "1970" }).getTime()`,
    `Date.parse("1970-01-02") + Date.UTC(1970, 0, 2) + Date.length + typeof Date() + Date.name`,
    `new Date(0) instanceof Date && new Date(0).constructor === Date`,
    `class A extends Date {}; new A(3).getTime() + new A(3).constructor.name`,
  ],
  arrays: [
    `[1, 2].concat(3, [4, [5]], "6", { length: 1, 0: 7, [Symbol.isConcatSpreadable]: true })`,
    `[1, , 3].concat([, 2]).length`,
    `0 in [,].concat([1])`,
    `[1, null, undefined, [2, [3]], "a"].join("-")`,
    `[[1, 2], [3]].join(";") + [1, [2, 3]]`,
    `[3, 10, 1, undefined, "b", "B", , 2].sort()`,
    `["b", "a", "ab", ""].toSorted()`,
    `[3, 1, 2].sort((a, b) => b - a)`,
    `["a", "b"].indexOf("b") + ["a"].lastIndexOf("a") + [NaN].includes(NaN)`,
    `Array.from({ length: 3 }, (_, at) => at * 2)`,
    `Array.from(new Set([1, 2]), String)`,
    `Array.from("abc")`,
    `Array.from(new Map([[1, 2]]))`,
    `Array.from({ length: "2", 0: "a", 1: "b" })`,
    `class A extends Array {}; A.from([1]) instanceof A`,
    `Math.max.apply(null, { length: 2, 0: 1, 1: 5 })`,
    `Math.max.apply(null, [1, 9]) + String(Math.max.apply(null))`,
    `Reflect.construct(Date, [0]).getTime()`,
    `[[1, [2]], 3].flat(2)`,
    `[1, 2].flatMap((one) => [one, one])`,
    `[1, 2, 3].map((one) => one * 2).filter((one) => one > 2).reduce((a, b) => a + b)`,
  ],
  "typed arrays": [
    `[...new Uint8Array([1, 2, 300])]`,
    `[...new Float64Array(new Uint8Array([1, 2]))]`,
    `new Uint16Array(new ArrayBuffer(8), 2, 2).length`,
    `new Uint8Array(new ArrayBuffer(8), 2).length`,
    `[...Uint8Array.from([1, 2], (one) => one * 2)].concat([...Uint8Array.of(3)])`,
    `[...new Uint8Array({ length: 2, 0: 5 })]`,
    `[...new Uint8Array(new Set([1, 2]))]`,
    `new Uint8Array([1, 2, 3]).slice(1).join("-")`,
    `new Uint8Array([1, 2, 3]).map((one) => one + 1).constructor === Uint8Array`,
    `new Uint8Array(2) instanceof Uint8Array`,
    `new DataView(new ArrayBuffer(4)).getInt32(0)`,
    `class A extends Uint8Array {}; new A(2).length`,
  ],
  JSON: [
    `JSON.stringify({ a: 1, b: [1, null, undefined, () => {}, NaN], c: undefined, d: "\\n\\ud800é", e: true })`,
    `JSON.stringify({ a: [], b: {}, c: [1, { d: 2 }] }, null, 2)`,
    `JSON.stringify([1, [2]], null, "--")`,
    `JSON.stringify({ a: 1, b: { a: 2, c: 3 } }, ["a", "b"])`,
    `JSON.stringify({ a: 1, b: "x" }, (key, value) => (typeof value === "number" ? value + 1 : value))`,
    `JSON.stringify({ a: 1 }, function (key, value) { return key === "" ? value : Object.keys(this).join(); })`,
    `JSON.stringify(new Date(0)) + JSON.stringify("a") + JSON.stringify(null) + JSON.stringify(1.5)`,
    `JSON.stringify([Object("a"), Object(1), Object(false), Object.create(null), new Map()])`,
    `JSON.stringify({ toJSON(key) { return "key" + key; } })`,
    `[JSON.stringify(undefined), JSON.stringify(() => {}), JSON.stringify(Symbol())]`,
    `JSON.stringify({ [Symbol()]: 1, 2: 1, b: 1, 1: 1 })`,
    `JSON.stringify({ __proto__: { a: 1 }, b: 2 })`,
    `JSON.stringify([-0, 1e21, Infinity])`,
    `JSON.parse('{"a":[1,2]}', (key, value) => (Array.isArray(value) ? value.length : value))`,
  ],
};

/** Tells `undefined` from `null`, and a hole from both. */
const shown = (expression: string) => {
  const cut = expression.lastIndexOf("; ");
  const isClass = expression.startsWith("class ");
  const before = isClass ? expression.slice(0, cut + 1) : "";
  const value = isClass ? expression.slice(cut + 2) : expression;
  return `${before} const value = ${value};
    const list = Array.isArray(value) ? value : [value];
    let text = "";
    for (let at = 0; at < list.length; at++) {
      text += (at in list ? (list[at] === undefined ? "undefined" : JSON.stringify(list[at])) : "hole") + ";";
    }`;
};

describe("a bounded built-in", () => {
  for (const [name, expressions] of Object.entries(same)) {
    it(`gives what V8's own gives: ${name}`, () => {
      const scripts = expressions.map(
        (each, at) =>
          [
            `s${at}`,
            `export default function () { ${shown(each)} return respond({ body: text }); }`,
          ] as const,
      );
      const bench = new Bench(tables(Object.fromEntries(scripts)), {
        limits: { memoryMb: 16, callTimeoutMs: 2_000, maxIsolates: 2 },
      });
      try {
        for (const [at, each] of expressions.entries()) {
          const expected: unknown = new Function(`"use strict"; ${shown(each)} return text;`)();
          const { exchange } = bench.request({ authority: `s${at}` });
          expect(bench.report(`s${at}`).lastError, each).to.equal(null);
          expect(exchange.answered?.body, each).to.equal(expected);
        }
      } finally {
        bench.sandbox.dispose();
      }
    });
  }

  it("costs no more than a few endless loops do, whatever it is given, and little memory", async function () {
    this.timeout(1_200_000);
    const all = { ...attacks, ...syntax };
    const isDear = (cost: Cost | undefined, loop: Cost | undefined) =>
      cost === undefined ||
      cost.processorMs >= 10 * Math.max(10, loop?.processorMs ?? 0) ||
      cost.megabytes >= 120;
    // What else a machine does makes one measurement longer, but not each of some.
    let left: Readonly<Record<string, string>> = all;
    for (let times = 1; Object.keys(left).length > 0; times += 1) {
      const costs = await costsOf({ ...left, [control]: all[control] ?? "" });
      const loop = costs.get(control);
      const dear = Object.entries(left).filter(([name]) => isDear(costs.get(name), loop));
      left = Object.fromEntries(dear);
      const shown = dear.map(([name]) => [name, costs.get(name), loop]);
      if (times === 4) expect(shown, "beside the endless loop").to.deep.equal([]);
    }
  });
});

const control = "an endless loop";

interface Cost {
  readonly processorMs: number;
  /** What the process took at most beyond what it had before. */
  readonly megabytes: number;
}

/** Each attack once in a sandbox of one process, with what it took. */
async function costsOf(
  bodies: Readonly<Record<string, string>>,
): Promise<ReadonlyMap<string, Cost>> {
  const reports = await reportsOf(`
    import { readFileSync, writeFileSync } from "node:fs";
    import { scriptOf } from "../../../bench/scripts/attacks.ts";
    import { Bench, examined, tables } from "./test-sandbox.ts";
    const peak = () => Number(/VmHWM:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) / 1024;
    for (const [name, body] of Object.entries(${JSON.stringify(bodies)})) {
      const bench = new Bench(await examined(tables(scriptOf(body))), { limits: { memoryMb: 16, callTimeoutMs: 10 } });
      writeFileSync("/proc/self/clear_refs", "5");
      const before = peak();
      const { user, system } = process.cpuUsage();
      bench.request();
      const after = process.cpuUsage();
      const processorMs = (after.user - user + after.system - system) / 1_000;
      process.send([name, { processorMs, megabytes: peak() - before }]);
      bench.sandbox.dispose();
    }`);
  return new Map(reports as readonly [string, Cost][]);
}
