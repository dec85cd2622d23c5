/** What a hostile script may try, one body of `export default function (request)` each. */

const long = `let long = "x"; while (long.length < 1e8) long += long;`;
const text = `const text = "a".repeat(1e6);`;
const shared =
  "let shared = { a: 1 }; for (let at = 0; at < 24; at++) shared = { shared, b: shared };";
const buffer = "const bytes = new ArrayBuffer(1e5); const buffer = new Uint8Array(bytes);";
/** An endless list, whose items a built-in makes. */
const steps = (next: string) =>
  `${buffer} buffer[Symbol.iterator] = () => buffer; buffer.next = ${next}; Math.max(...{ [Symbol.iterator]: () => buffer });`;
/** Its first reader sees one item, the second one thirty million. */
const liar = "let reads = 0; const liar = { get length() { return reads++ ? 2 ** 25 : 1; } };";

export const attacks: Readonly<Record<string, string>> = {
  "prototype and constructor chains": `request.constructor.constructor("return process")().exit()`,
  "constructor of a frozen object": `Object.getPrototypeOf(request.headers).constructor("return 1")()`,
  Function: `new Function("return process")()`,
  "the constructor of functions": `(() => {}).constructor("return process")()`,
  "a getter on what is returned": `return { get status() { for (;;); } }`,
  "a proxy as what is returned": "return new Proxy({}, { get() { for (;;); } })",
  "an error with a getter": "throw { get message() { for (;;); } }",
  "a stack hook": "Error.prepareStackTrace = () => { for (;;); }; null.x",
  WebAssembly: "new WebAssembly.Memory({ initial: 65536 })",
  SharedArrayBuffer: "new SharedArrayBuffer(1e9)",
  "Atomics.wait": "Atomics.wait(new Int32Array(4), 0, 0)",
  "an endless loop": "for (;;);",
  "an endless regular expression": `/(a+)+$/.test("a".repeat(40) + "b")`,
  "a memory bomb": "const all = []; for (;;) all.push(new Array(1000).fill(1.5))",
  "a memory bomb of typed arrays": "const all = []; for (;;) all.push(new Uint8Array(1e6))",
  "deep recursion": "(function f() { return f() + 1; })()",
  "a string of 100 MB returned": `${long} return deny(403, long)`,
  "the properties of a string of 100 MB": `${long} Object.keys(long)`,
  "a replacement of a thousand million parts": `"a".repeat(1e4).replace(/a/g, "$&".repeat(1e5))`,
  "a pattern that is no text yet": `new RegExp(["(a".repeat(5e5)])`,
  "a header value with CR LF": String.raw`request.headers.set("x-a", "1\r\nx-b: 2")`,
  "a million headers": `for (let at = 0; at < 1e6; at++) request.headers.set("x-" + at, "1")`,
  "a forged framing header": `request.headers.set("content-length", "0")`,
  "a forged X-Forwarded-For": `request.headers.set("x-forwarded-for", "127.0.0.1")`,
  // What V8 goes through in one go.
  "a search near a match, from behind": `${text} text.lastIndexOf("a".repeat(5e5) + "b"); null.x`,
  "a search near a match": `${text} text.includes("a".repeat(25e4) + "b" + "a".repeat(25e4)); null.x`,
  "a split near a match": `${text} text.split("a".repeat(25e4) + "b" + "a".repeat(25e4)); null.x`,
  "a replacement near a match": `${text} text.replaceAll("a".repeat(25e4) + "b" + "a".repeat(25e4), ""); null.x`,
  "a replacement that grows": `${text} text.replace(/a/g, "b".repeat(400)); null.x`,
  "a replacement that a function makes grow": `${text} text.replace(/a/g, () => text); null.x`,
  "a million marks on a character": String.raw`("a" + "\u0300\u0316".repeat(5e5)).normalize("NFC"); null.x`,
  "long texts with equal beginnings sorted": `${text} const list = []; for (let at = 0; at < 1e5; at++) list.push(text + (at % 9)); list.sort(); null.x`,
  "long texts with equal beginnings searched": `${text} const one = text + "b", other = text + "c"; one[0]; other[0]; new Array(1e5).fill(one).indexOf(other); null.x`,
  "what only looks like a list, in concat":
    "[].concat({ length: 2 ** 32, [Symbol.isConcatSpreadable]: true }); null.x",
  "the same list a thousand times in concat":
    "const list = new Array(1e5).fill(1); [].concat(...new Array(1e3).fill(list)); null.x",
  "a list that lies, in apply": `${liar} Math.max.apply(null, liar); null.x`,
  "a list that lies, in construct": `${liar} Reflect.construct(Array, liar); null.x`,
  "a list that lies, as a template": `${liar} String.raw({ raw: liar }); null.x`,
  "a list that lies, in from": `${liar} Array.from(liar); null.x`,
  "a list that lies, as a typed array": `${liar} new Float64Array(liar); null.x`,
  "a match that lies": `const lies = /a/; Object.defineProperty(lies, "exec", { value: () => ({ length: 2 ** 32, index: 0, 0: "a" }) }); "a".replace(lies, "b"); null.x`,
  "a splitter that lies": `class Lies extends RegExp { exec() { return { length: 2 ** 32, index: 0, 0: "a" }; } } "aaa".split(new Lies("a")); null.x`,
  "JSON of shared objects": `${shared} JSON.stringify(shared); null.x`,
  "a log of shared objects": `${shared} log.info(shared); null.x`,
  "a text of shared lists": `let list = ["x".repeat(1e5)]; for (let at = 0; at < 6; at++) list = new Array(20).fill(list); list.join(); null.x`,
  "a text of long items": `${text} new Array(1e5).fill("a".repeat(5e3)).join(); null.x`,
  "a pattern of classes in all alphabets": String.raw`new RegExp("[" + "\\w\\W".repeat(1500) + "]", "iu").test("x"); null.x`,
  "a pattern of properties in all alphabets": String.raw`new RegExp("\\p{RGI_Emoji}".repeat(600), "v").test("x"); null.x`,
  "a pattern of texts in all alphabets": String.raw`new RegExp("\\p{RGI_Emoji}".repeat(70), "v").test("x"); null.x`,
  "the same as a copy with other flags": String.raw`new RegExp(/\p{RGI_Emoji}\p{RGI_Emoji}\p{RGI_Emoji}\p{RGI_Emoji}\p{RGI_Emoji}/, "v").test("x"); null.x`,
  "a pattern of many groups": `new RegExp("(a)?".repeat(2e3)).test("x"); null.x`,
  "dates in long texts": `${text} for (;;) new Date(text);`,
  "an object that becomes a long text": `${long} "a".padStart(10, { toString: () => long }); null.x`,
  "the same text in concat": `${text} text.concat(...new Array(500).fill(text)).at(0); null.x`,
  "deep JSON": `JSON.parse("[".repeat(5e5) + "]".repeat(5e5)); null.x`,
  "a typed array of 8 MB as an object": "({ ...new Uint8Array(8e6) }); null.x",
  "the names of a typed array of 8 MB": "for (const name in new Uint8Array(8e6)) null.x; null.x",
  "dates with Temporal in them":
    "let big = new Date().toTemporalInstant().epochNanoseconds; for (let at = 0; at < 24; at++) big *= big; null.x",
  "buffers reversed by an iterator": `${steps("buffer.reverse")} null.x`,
  "errors made by an iterator": `${steps("Error")} null.x`,
  "arrays made by an iterator": `${steps("Array")} null.x`,
  "long arrays made by an iterator": `${steps("Array.bind(null, 5e5)")} null.x`,
  "prototypes found by an iterator": `${steps('Object.getOwnPropertyDescriptor(Object.prototype, "__proto__").get')} null.x`,
  "properties defined by an iterator": `${steps('Object.defineProperty.bind(null, {}, "a", { value: 1 })')} null.x`,
  "getters found by an iterator": `${steps('{}.__lookupGetter__.bind({ get a() {} }, "a")')} null.x`,
  "a buffer found by an iterator": `${steps('Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), "buffer").get')} null.x`,
  "copies of a buffer made by an iterator": `${steps("bytes.slice.bind(bytes)")} null.x`,
  "a buffer searched for each item": `${buffer} new Array(1e5).fill(1).some(buffer.includes.bind(buffer, 5)); null.x`,
  "iterators that never end": "new Set({ [Symbol.iterator]: () => ({ next: Object }) }); null.x",
};

/** What syntax alone makes long, or goes through in one go. */
const half = `const part = "x".repeat(1e6);`;
export const syntax: Readonly<Record<string, string>> = {
  "an array of thirty million holes": "const list = []; list.length = 2 ** 25 - 1; null.x",
  "the same by a computed name": 'const list = []; list["len" + "gth"] = 2 ** 25 - 1; null.x',
  "the same by Reflect.set": 'Reflect.set([], "length", 2 ** 25 - 1); null.x',
  "a string of 100 MB compared": `${long} if (long + "a" === "a" + long) return; null.x`,
  "a string of 100 MB as a property": `${long} ({})[long]; null.x`,
  "a string of 100 MB as a number": `${long} +long; null.x`,
  "a string of 100 MB in a template": `${long} \`\${long}\`[0]; null.x`,
  "a string of 100 MB hashed": `${long} crypto.sha256(long); null.x`,
  "a string of 100 MB logged": `${long} log.info(long, { long }); null.x`,
  "a string of 100 MB thrown": `${long} throw { get message() { return long; } }`,
  "a string of 100 MB as the name of a header": `${long} request.headers.get(long); null.x`,
  "a string of 100 MB as the name of a header to delete": `${long} request.headers.delete(long); null.x`,
  "a string of 100 MB made of its errors": `let long = "x".repeat(1e5); for (;;) { const error = new Error(long); error.name = long; long = error.toString(); }`,
  "a string of 100 MB made of stacks": `let long = "x".repeat(1e5); for (let at = 0; at < 9; at++) { const f = () => new Error(""); Object.defineProperty(f, "name", { value: long }); const g = (n) => (n ? g(n - 1) : f()); Object.defineProperty(g, "name", { value: long }); long = g(9).stack; } null.x`,
  "a string of 100 MB made of patterns": `let long = "x".repeat(1e5); for (;;) long = RegExp.prototype.toString.call({ source: long, flags: long });`,
  "a string grown in spite of errors": `${half} let long = part; for (;;) { try { long += part; } catch { long = [long, part] + ""; } }`,
  "the properties of a text, spread": `${half} ({ ...part }); null.x`,
  "the properties of a text, listed": `${half} for (const name in part) null.x; null.x`,
  "the properties of a text, taken out": `${half} const { a, ...rest } = part; null.x`,
  "the properties of a text that is a parameter": `${half} (function ({ a, ...rest }) {})(part); null.x`,
  "many comparisons of long texts, one after the other": `${half} const a = part + "a", b = part + "b"; a[0]; b[0]; ${"a === b; ".repeat(5_000)} null.x`,
  "many numbers read from long texts, one after the other": `const a = "1".repeat(1e6); ${"+a; ".repeat(5_000)} null.x`,
};

export function scriptOf(body: string): string {
  return `export default function (request) { ${body} }`;
}
