import { parse } from "acorn";
import { expect } from "chai";
import { growthOf } from "../examine/growth.ts";
import { Bench, examined, tables } from "../fixtures/test-sandbox.ts";
import { checkScript } from "../index.ts";
import { columnBefore, withChecks } from "./growth-checks.ts";

const options = { ecmaVersion: "latest", sourceType: "module" } as const;

/** Bodies of functions that return something; what they return must not depend on checks. */
const bodies: readonly string[] = [
  `let a = "x", b = 2; a += b; a += a + b; return a;`,
  `let a = 1; a += { valueOf: () => 41 }; a += 0.5; return a;`,
  `let a = "x"; a += { toString: () => "y" }; a += new Date(0); a += [1, 2]; a += null; return a;`,
  `let a = "x"; a += { [Symbol.toPrimitive]: (hint) => hint }; return a;`,
  `const order = []; const o = { get p() { return 1; }, set p(v) { order.push(v); } };
   o.p += (order.push("value"), 5); return order;`,
  `const o = { list: [{ a: "x" }] }; let at = 0; o.list[at].a += "y"; o.list[at++].a += "zzzzz"; return [o, at];`,
  `const f = () => ({ x: "a" }); let o; (o = f()).x += "b" + "c"; return o;`,
  `class A { #x = "a"; y = "b"; add(b) { this.#x += b; this.y += this.#x; return this.y; } } return new A().add("cdefgh");`,
  `class A { get p() { return "p"; } } class B extends A { q() { return super.p + "q" + super.p; } } return new B().q();`,
  `const a = "a", b = [1]; return \`\${a}-\${b}\${a + b}\${\`\${a}\${b}\`}\`;`,
  `const tag = (parts, ...values) => [parts.raw, parts === tag.last, values]; return tag\`a\${1 + 2}b\${"x" + 3}\\n\`;`,
  `const o = { a: 1, ...{ b: 2 }, ...null, ..."xy" }; return [o, ...[1, 2], ...new Set([3]), Math.max(...[4, 5])];`,
  `const { a, ...rest } = { a: 1, b: 2, c: 3 }; let d, e; ({ d, ...e } = { d: 4, f: 5 }); return [a, rest, d, e];`,
  `function f({ a, ...rest }, [b, ...c]) { return [a, rest, b, c, arguments.length]; } return f({ a: 1, z: 2 }, "xyz");`,
  `class A { m(x, { ...rest } = { d: 1 }) { return [x, rest, Reflect.ownKeys(rest)]; } } return [new A().m(1, { b: 2 }), new A().m(3)];`,
  `const o = { *g({ a: [b], ["c" + 1]: d, ...rest }) { yield [b, d, rest]; } }; return [...o.g({ a: [1], c1: 2, e: 3 })];`,
  `const keys = []; for (const key in { a: 1, b: 2 }) keys.push(key); for (const key in (1, "xy")) keys.push(key); return keys;`,
  `const o = {}, k = ["a", "b"]; let at = 0; o[k[at++]] = 1; o[k[at]] = 2; [o["c" + at], o.d] = [3, 4]; return [o, at];`,
  `const o = {}; for (o["k" + 1] of [1, 2]); for (o.key in { z: 1 }); return o;`,
  `const list = [1, 2, 3]; list.length = 1; list.length += 2; list["length"] -= 1; return list.length;`,
  `const o = { length: 1 }, name = "length"; o.length = 2e9; o[name] = 3e9; o[name] += 1; return o[name];`,
  `const o = {}; o[{ toString: () => "k" }] = 1; o[Symbol.iterator] = 2; o[1.5] = 3; return [Object.keys(o), o[Symbol.iterator]];`,
  `function f(a, b = a + "b", c = \`\${a}\${b}\`) { return"x"+c+typeof"y"+void 0; } return f("a");`,
  `let s = 0; for (let at = 0, to = 3 + 4; at < to; at += 1) s += at * 2 + 1; return s;`,
  `let a = 1
   let b = 2
   const c = a
     + b
   ; return [c, (a) + (b), (a, b) + c, -(a + b), !(a + "")];`,
  `const f = (a) => a + 1, g = (a) => ({ b: a + "x" }); return [f(1), g(2), [1, 2].map((x) => x + "y")];`,
  `function* g() { let s = "a"; s += yield s + "b"; return s; } const it = g(); return [it.next(), it.next("c")];`,
  `switch ("a" + "b") { case "a" + "b": return "found"; default: return "lost"; }`,
  `let s = ""; const n = [5, 3, 9]; for (const x of n) { s += x > 4 ? "big " + x + ";" : "small;"; } return s;`,
  `const m = new Map(); for (const w of "a b a".split(" ")) m.set(w, (m.get(w) ?? 0) + 1); return [...m];`,
  `try { let a = Symbol(); a += "x"; } catch (error) { return error.name + ": " + error.message; }`,
  `const a = "x"; try { a += "y"; } catch (error) { return error.name; }`,
  `return ${Array.from({ length: 200 }, (_, at) => `${at} < ${at + 1}`).join(" && ")} ? "all" + "" : "";`,
  `return [${Array.from({ length: 100 }, (_, at) => `-${at}, ${at} * 2 === "${at}" - 0`).join(", ")}];`,
];

const rule = (body: string) =>
  `const run = () => { ${body} };
   export default () => respond({ body: JSON.stringify(run()) });`;

describe("the checks of growth", () => {
  it("change nothing of what a source does", async () => {
    const scripts = Object.fromEntries(bodies.map((body, at) => [`s${at}.example`, rule(body)]));
    const plain = new Bench(tables(scripts));
    const checked = new Bench(await examined(tables(scripts)));
    try {
      for (const [at, body] of bodies.entries()) {
        const authority = `s${at}.example`;
        const wanted = plain.request({ authority }).exchange.answered;
        const got = checked.request({ authority }).exchange.answered;
        expect(checked.report(authority).lastError, body).to.equal(null);
        expect(got?.body, body).to.equal(wanted?.body);
        expect(new Function(body)(), body).to.not.equal(undefined);
      }
    } finally {
      plain.sandbox.dispose();
      checked.sandbox.dispose();
    }
  });

  it("keep every text that syntax makes below its bound, however it is asked for", async () => {
    const long = `const part = "x".repeat(600000); let text = part;`;
    const attacks = [
      `text = text + part;`,
      `text += part;`,
      `text += { toString: () => part };`,
      `try { text += part; } catch {} try { text += part; } catch {} text += part;`,
      `text = \`\${text}\${part}\`;`,
      `text = [] + [text, part];`,
      `const o = { text }; o.text += part;`,
      `const o = { text }; const get = () => o; get().text += part;`,
      `class A { #x = text; m() { this.#x += part; } } new A().m();`,
      `text = part + (1, part) + "";`,
      `function f(a = part + part) {} f();`,
      `({ ...part });`,
      `for (const at in part) null;`,
      `const { a, ...rest } = part;`,
      `let rest; ({ ...rest } = part);`,
      `(function ({ a, ...rest }) {})(part);`,
      `(function ({ ...rest } = part) {})();`,
      `[...part];`,
      `const list = []; list.length = 2 ** 25;`,
      `const list = []; const key = "len" + "gth"; list[key] = 2 ** 25;`,
      `const list = []; list[{ toString: () => "length" }] = 2 ** 25;`,
      `const list = []; [list["len" + "gth"]] = [2 ** 25];`,
      `const list = []; for (list["len" + "gth"] of [2 ** 25]) null;`,
      `const list = []; const get = () => list; get()["len" + "gth"] = 2 ** 25;`,
      `const list = []; list.length += 2 ** 25;`,
      `class A extends Array { grow() { super.length = 2 ** 25; } } new A().grow();`,
      `Reflect.set([], "length", 2 ** 25);`,
      `Object.assign([], { length: 2 ** 25 });`,
      `Object.defineProperty([], "length", { value: 2 ** 25 });`,
      `Object.defineProperties([], { length: { value: 2 ** 25 } });`,
      `Reflect.defineProperty([], "length", { value: 2 ** 25 });`,
    ];
    const scripts = Object.fromEntries(
      attacks.map((body, at) => [`s${at}.example`, rule(`${long} ${body} return 1;`)]),
    );
    const bench = new Bench(await examined(tables(scripts)));
    for (const [at, body] of attacks.entries()) {
      bench.request({ authority: `s${at}.example` });
      const error = bench.report(`s${at}.example`).lastError;
      expect(error, body).to.match(/only for|1 MiB|100,000|256 characters/);
    }
    bench.sandbox.dispose();
  });

  it("refuse by its place what no check can be put around", async () => {
    const refused = {
      "const \u00aatext = (x) => x;": /a name cannot begin with/,
      "const list = []; [list.length] = [5];": /length is not available here/,
      "const list = [1]; list.length *= 2;": /length \*= is not available/,
      "function f({ ...a }, { ...b }) {}": /\{ \.\.\.rest \} is not available here/,
      "const f = ({ ...a }) => a;": /\{ \.\.\.rest \} is not available here/,
      "function f([{ ...a }]) {}": /\{ \.\.\.rest \} is not available here/,
      "const [{ ...a }] = [{}];": /\{ \.\.\.rest \} is not available here/,
      "for (const { ...a } of []);": /\{ \.\.\.rest \} is not available here/,
      "try {} catch ({ ...a }) {}": /\{ \.\.\.rest \} is not available here/,
    };
    for (const [text, message] of Object.entries(refused)) {
      const fault = await checkScript("a.example.com", tables(`${text}\nexport default () => {};`));
      expect(fault?.message, text).to.match(message);
      expect(fault?.line, text).to.equal(1);
    }
  });

  it("leave the line and the column of an error as the source has them", async () => {
    const text = `import { join } from "modules/join";
export default (request) => {
  const list = [\`\${request.path}-\${request.query}\`, request.path + "/" + request.query]; null.first;
  return join(request.path + request.host, list);
};
export const tests = [{ expect: { pass: true } }];`;
    const module = {
      join: "export const join = (a, b) => { a += b + a; return a.b.c + `$" + "{a}`; };",
    };
    const inScript = await checkScript("a.example.com", tables(text, module));
    expect(inScript).to.include({ key: "scripts/a.example.com", line: 3 });
    expect(inScript?.column).to.equal((text.split("\n")[2] ?? "").indexOf("null.first") + 6);
    const other = text.replace(" null.first;", "");
    const inModule = await checkScript("a.example.com", tables(other, module));
    expect(inModule).to.include({ key: "modules/join", line: 1 });
    expect(inModule?.column).to.equal(module.join.indexOf("a.b.c") + 5);
    const bench = new Bench(
      await examined(tables(text.replace(/export const tests.*/, ""), module)),
    );
    bench.request();
    expect(bench.report().lastError).to.contain(`scripts/a.example.com:3:${inScript?.column}: `);
    bench.sandbox.dispose();
  });

  it("are read as they were written, on the same lines", () => {
    for (const body of bodies) {
      const text = `function f() { ${body} }`;
      const { checks, problem } = growthOf(parse(text, options));
      expect(problem).to.equal(null);
      const made = withChecks(text, checks);
      parse(made, options);
      expect(made.split("\n").length, body).to.equal(text.split("\n").length);
      // What is marked in both stands at the same place.
      const marked = [...text.matchAll(/return/g)].map(({ index }) => index);
      const moved = [...made.matchAll(/return/g)].map(({ index }) => index);
      const place = (whole: string, index: number) => {
        const lines = whole.slice(0, index).split("\n");
        return { line: lines.length, column: (lines.at(-1) ?? "").length + 1 };
      };
      for (const [at, index] of moved.entries()) {
        const { line, column } = place(made, index);
        expect(columnBefore(text, checks, line, column), body).to.equal(
          place(text, marked[at] ?? -1).column,
        );
      }
    }
  });
});
