/** What a hostile script may try, one body of `export default function (request)` each. */

const long = `let long = "x"; while (long.length < 1e8) long += long;`;

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
  "a string of 100 MB compared": `${long} if (long + "a" === "a" + long) return; null.x`,
  "the properties of a string of 100 MB": `${long} Object.keys(long)`,
  "a replacement of a thousand million parts": `"a".repeat(1e4).replace(/a/g, "$&".repeat(1e5))`,
  "a pattern that is no text yet": `new RegExp(["(a".repeat(5e5)])`,
  "a header value with CR LF": String.raw`request.headers.set("x-a", "1\r\nx-b: 2")`,
  "a million headers": `for (let at = 0; at < 1e6; at++) request.headers.set("x-" + at, "1")`,
  "a forged framing header": `request.headers.set("content-length", "0")`,
  "a forged X-Forwarded-For": `request.headers.set("x-forwarded-for", "127.0.0.1")`,
};

export function scriptOf(body: string): string {
  return `export default function (request) { ${body} }`;
}
