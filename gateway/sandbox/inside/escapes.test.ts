import { expect } from "chai";
import { Bench, handler, tables } from "../fixtures/test-sandbox.ts";

/** Tries that must each end in one counted error, with what the error says. */
const refused: Readonly<Record<string, readonly [body: string, error: RegExp]>> = {
  "an endless loop": ["for (;;);", /ran longer than/],
  "an endless loop in finally": ["try { for (;;); } finally { for (;;); }", /ran longer than/],
  "an endless regular expression": [`/(a+)+$/.test("a".repeat(40) + "b")`, /ran longer than/],
  "an endless getter of what is thrown": [
    "throw { get message() { for (;;); } }",
    /ran longer than/,
  ],
  "an endless proxy-like toString": [
    "request.path = { toString() { for (;;); } }",
    /ran longer than/,
  ],
  "deep recursion": ["(function f() { return f() + 1; })()", /Maximum call stack/],
  "deep recursion in a getter of what is thrown": [
    "throw { get message() { return this.message; } }",
    /cannot be described/,
  ],
  "the Function constructor": [
    `(() => {}).constructor("return 1")()`,
    /cannot be made from strings/,
  ],
  "the generator constructor": [
    `(function* () {}).constructor("yield 1")`,
    /cannot be made from strings/,
  ],
  "Function by name": [`new Function("return 1")`, /Function is not defined/],
  eval: [`eval("1")`, /eval is not defined/],
  WebAssembly: ["new WebAssembly.Memory({ initial: 1 })", /WebAssembly is not defined/],
  SharedArrayBuffer: ["new SharedArrayBuffer(4)", /SharedArrayBuffer is not defined/],
  "Atomics.wait": ["Atomics.wait(new Int32Array(4), 0, 0)", /Atomics is not defined/],
  Promise: ["Promise.reject({ get message() { for (;;); } })", /Promise is not defined/],
  Proxy: ["return new Proxy({}, { get() { for (;;); } })", /Proxy is not defined/],
  require: [`require("fs")`, /require is not defined/],
  process: ["process.exit()", /process is not defined/],
  timers: ["setTimeout(() => {}, 1)", /setTimeout is not defined/],
  "a stack hook": [
    "Error.prepareStackTrace = () => { for (;;); }; throw new Error()",
    /Cannot assign to read only property 'prepareStackTrace'/,
  ],
  "a native loop over an enormous array": [
    "const list = []; list.length = 4e9; list.indexOf(1)",
    /at most 100,000/,
  ],
  "a native loop over what only looks like an array": [
    "Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1)",
    /at most 100,000/,
  ],
  "an enormous array made and filled": ["new Array(1e8).fill(1.5)", /at most 100,000/],
  "a string of 100 MB taken apart": [
    `let text = "x"; while (text.length < 1e8) text += text; text.split("")`,
    /split: only for texts of at most 1 MiB/,
  ],
  "a string of 100 MB made at once": [
    `"x".repeat(1e8)`,
    /repeat: only for results of at most 1 MiB/,
  ],
  "a text of 100 MB looked through": [
    `let text = "x"; while (text.length < 1e8) text += text; text.includes("xy")`,
    /includes: only for texts of at most 1 MiB/,
  ],
  "a text of 100 MB looked through by a regular expression's method": [
    `let text = "x"; while (text.length < 1e8) text += text; /x/g[Symbol.match](text)`,
    /Symbol.match: only for texts of at most 1 MiB/,
  ],
  "a pattern of 1 MB": [
    `const { constructor } = /x/; new constructor("(a".repeat(5e5))`,
    /RegExp: only for patterns of at most 8,192 characters/,
  ],
  "a pattern of 1 MB that is no text yet": [
    `new RegExp(["(a".repeat(5e5)])`,
    /RegExp: only for patterns of at most 8,192 characters/,
  ],
  "a pattern of 1 MB that pretends to be one": [
    `new RegExp({ [Symbol.match]: true, source: "(a".repeat(5e5), toString() { return this.source; } })`,
    /RegExp: only for patterns of at most 8,192 characters/,
  ],
  "flags of 1 MB": [`new RegExp("a", "g".repeat(1e6))`, /RegExp: only for flags that there are/],
  "a replacement of a thousand million parts": [
    `"a".repeat(1e4).replace(/a/g, "$&".repeat(1e5))`,
    /replace: only for results of at most 1 MiB|ran longer than/,
  ],
  "a replacement of a thousand million parts, by the regular expression": [
    `/a/g[Symbol.replace]("a".repeat(1e4), "$&".repeat(1e5))`,
    /replace: only for results of at most 1 MiB|ran longer than/,
  ],
  "a string of 100 MB as JSON": [
    `let text = "x"; while (text.length < 1e8) text += text; JSON.stringify(text)`,
    /stringify: only for results of at most 1 MiB/,
  ],
  "the properties of a text of 100 MB": [
    `let text = "x"; while (text.length < 1e8) text += text; Object.keys(text)`,
    /keys: only for texts of at most 100,000 characters/,
  ],
  "the properties of an object that is a text of 100 MB": [
    `let text = "x"; while (text.length < 1e8) text += text; Reflect.ownKeys(Object(text))`,
    /ownKeys: only for arrays of at most 100,000 items/,
  ],
  "a template of four thousand million parts": [
    "String.raw({ raw: { length: 2 ** 32 } })",
    /raw: only for arrays of at most 100,000 items/,
  ],
  "a call with 33 million values": [
    "Math.max.apply(null, { length: 2 ** 25 })",
    /apply: only for arrays of at most 100,000 items/,
  ],
  "enormous arrays inside of a short one": [
    "const long = []; long.length = 4e9; [long].flat()",
    /flat: only for arrays of at most 100,000 items/,
  ],
  "a typed array of 16 MB searched": [
    "new Uint8Array(16e6).indexOf(1)",
    /Uint8Array: only for at most 100,000 bytes/,
  ],
  BigInt: ["BigInt(2)", /BigInt is not defined/],
  Intl: ["new Intl.Collator()", /Intl is not defined/],
  "a string of 100 MB as the answer": [
    `let text = "x"; while (text.length < 1e8) text += text; return deny(403, text)`,
    /body is longer than/,
  ],
  "a string of 100 MB as a header": [
    `let text = "x"; while (text.length < 1e8) text += text; request.headers.set("x-a", text)`,
    /x-a is too long/,
  ],
  "a string of 100 MB as an error": [
    `let text = "x"; while (text.length < 1e8) text += text; throw new Error(text)`,
    /: a text of more than 1 MiB$|: Error: x{400,500}(\.\.\.)?$|ran out of memory$/,
  ],
  "a string of 100 MB as the path": [
    `let text = "/"; while (text.length < 1e8) text += text; request.path = text`,
    /request.path is longer than 8192/,
  ],
  "CR LF in a header's value": [
    String.raw`request.headers.set("x-a", "1\r\nx-b: 2")`,
    /header x-a has a character/,
  ],
  "NUL in a header's value": [
    String.raw`request.headers.set("x-a", "1\u0000")`,
    /header x-a has a character/,
  ],
  "CR LF in a header's name": [
    String.raw`request.headers.set("x-a: 1\r\nx-b", "2")`,
    /is not a header name/,
  ],
  "CR LF in a redirect": [
    String.raw`return redirect("/\r\nset-cookie: a=b")`,
    /redirect: .* has a control character/,
  ],
  "CR LF in a path": [String.raw`request.path = "/a\r\nx: y"`, /request.path: .* is not allowed/],
  "CR LF in a host": [String.raw`request.host = "a\r\nx: y"`, /request.host: .* is not allowed/],
  "a path without a slash": [`request.path = "a"`, /request.path: "a" is not allowed/],
  "a path with a query in it": [`request.path = "/a?b"`, /request.path: .* is not allowed/],
  "a million headers": [
    `for (let at = 0; at < 1e6; at++) request.headers.set("x-" + at, "1")`,
    /:1:\d+: RangeError: more than 100 headers were changed/,
  ],

  "101 headers": [
    `for (let at = 0; at < 101; at++) request.headers.set("x-" + at, "1")`,
    /more than 100 headers were changed/,
  ],
  "headers of 40 KiB together": [
    `for (let at = 0; at < 10; at++) request.headers.set("x-" + at, "1".repeat(4096))`,
    /headers are longer than 32768 bytes/,
  ],
  "a status of 42": ["return deny(42)", /status is a number from 400 to 599/],
  "a status of 100": ["return respond({ status: 100 })", /status is a number from 200 to 599/],
  "a body that is no string": ["return respond({ body: {} })", /body is a string/],
  "a string as a verdict": [`return "V200\\nBhello"`, /returned a string/],
  "an object that looks like a verdict": ["return { status: 200 }", /returned an object/],
  "an object with the prototype of a verdict": [
    "return Object.create(Object.getPrototypeOf(deny(403)))",
    /returned an object/,
  ],
  "a verdict's constructor": ["return new (deny(403).constructor)()", /returned an object/],
  "a frozen setting": [`settings.limits.max = 1`, /Cannot assign to read only property 'max'/],
  "another setting": [`settings.other = 1`, /Cannot add property other/],
  "header as a property": [`request.headers["x-a"] = "1"`, /Cannot add property x-a/],
  "another deny": ["globalThis.deny = () => {}; ", /Cannot assign to read only property 'deny'/],
};

for (const name of [
  "Content-Length",
  "Transfer-Encoding",
  "Connection",
  "Keep-Alive",
  "Upgrade",
  "TE",
  "Trailer",
  "Proxy-Connection",
  "Expect",
  "Host",
  "Forwarded",
  "Via",
  "X-Forwarded-For",
  "X-Forwarded-Proto",
  "X-Forwarded-Anything",
  "X-Request-Id",
  // An origin may take these for others.
  "X_Forwarded_For",
  "Content.Length",
]) {
  const lower = name.toLowerCase();
  const error = new RegExp(`the header ${lower} belongs to the gateway`);
  Object.assign(refused, {
    [`setting ${name}`]: [`request.headers.set("${name}", "1")`, error],
    [`appending to ${name}`]: [`request.headers.append("${name}", "1")`, error],
    ...(/^(?:x-)?forwarded|[_.]/.test(lower)
      ? {}
      : { [`deleting ${name}`]: [`request.headers.delete("${name}")`, error] }),
    [`answering with ${name}`]: [`return respond({ headers: { "${name}": "1" } })`, error],
  });
}

describe("a hostile script", () => {
  const scripts: Record<string, string> = { "good.example.com": handler("return deny(403)") };
  const names = Object.keys(refused);
  for (const [at, name] of names.entries()) {
    scripts[`h${at}.example.com`] = handler(refused[name]?.[0] ?? "");
  }
  let bench: Bench;
  let laterMs = 0;

  before(async () => {
    const limits = { memoryMb: 16, callTimeoutMs: 50, maxIsolates: 4 };
    const now = () => performance.now() + laterMs;
    bench = await Bench.counting(tables(scripts, {}, { limits: { max: 5 } }), { limits, now });
  });
  after(() => bench?.sandbox.dispose());

  for (const [at, name] of names.entries()) {
    it(`is refused ${name}: one counted error`, () => {
      const host = `h${at}.example.com`;
      const { exchange, steering } = bench.request({ authority: host });
      const report = bench.report(host);
      expect(report.lastError).to.match(refused[name]?.[1] ?? /never/);
      expect(report).to.include({ calls: 1, errors: 1 });
      expect(exchange.failure).to.deep.equal({
        status: 500,
        code: "script_error",
        message: `the rewrite script of ${host} failed`,
      });
      expect(exchange.answered).to.equal(null);
      expect(steering).to.include({ upstream: "", hashKey: "" });
      // What it took is paid by then, so that nobody waits for it.
      laterMs += 600_000;
      expect(bench.request({ authority: "good.example.com" }).exchange.status).to.equal(403);
    });
  }
});
