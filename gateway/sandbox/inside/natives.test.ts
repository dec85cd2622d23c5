import { expect } from "chai";
import { reportsOf } from "../fixtures/reporting-process.ts";

/**
 * A script that finds every function it can reach, and calls one of them for each request: `path` says which, as
 * what and with what. What is long is as long as a script can make it.
 */
const script = `
  const { getOwnPropertyDescriptor: describe, getPrototypeOf } = Object;
  const found = new Map();
  const seen = new Set();
  const queue = [[globalThis, ""], [getPrototypeOf(() => {}), "Function"], [getPrototypeOf(Uint8Array), "TypedArray"],
    [getPrototypeOf([].values()), "iterator"], [getPrototypeOf(""[Symbol.iterator]()), "text iterator"],
    [getPrototypeOf([].values().map((one) => one)), "helper"], [getPrototypeOf("".matchAll(/a/g)), "matches"]];
  for (const [value, name] of queue) {
    if ((typeof value !== "object" && typeof value !== "function") || value === null || seen.has(value)) continue;
    seen.add(value);
    if (typeof value === "function") found.set(value, name);
    queue.push([getPrototypeOf(value), name + ".__proto__"]);
    for (const key of Reflect.ownKeys(value)) {
      const { value: held, get, set } = describe(value, key);
      for (const each of [held, get, set]) queue.push([each, name + "." + String(key)]);
    }
  }
  const natives = [...found];
  const text = "a".repeat(1e6);
  const near = "a".repeat(5e5) + "b";
  const list = () => new Array(1e5).fill(text);
  const liar = () => { let reads = 0; return { get length() { return reads++ ? 2 ** 25 : 1; }, 0: text }; };
  const endless = () => ({ [Symbol.iterator]: () => ({ next: Object }) });
  const texts = () => ({ toString: () => text, source: text, flags: text, name: text, message: text });
  const makers = {
    nothing: () => undefined, text: () => text, near: () => near, list, liar, endless, texts,
    spread: () => ({ length: 2 ** 32, [Symbol.isConcatSpreadable]: true }),
    bytes: () => new Uint8Array(1e5), buffer: () => new ArrayBuffer(1e5), pattern: () => /(a+)+$/g,
    big: () => 2 ** 31, map: () => new Map([[text, text]]), set: () => new Set([text, near]), plain: () => ({ a: text }),
    call: () => (one) => one, date: () => new Date(),
  };
  const names = Object.keys(makers);
  export default ({ path }) => {
    const [, number, self, first, second] = path.split("/");
    if (number === "count") return respond({ body: JSON.stringify([natives.map(([, name]) => name), names]) });
    const [native] = natives[+number];
    const values = [makers[first](), makers[second]()];
    const made = self === "new" ? Reflect.construct(native, values) : Reflect.apply(native, makers[self](), values);
    if (typeof made === "string" && made.length > 4 * 1048576) return respond({ body: "long" });
    return respond({ body: "" });
  };`;

/** Calls them in a process of its own, whose processor time is theirs, beside an endless loop as a control. */
const program = `
  import { Bench, examined, tables } from "./test-sandbox.ts";
  const given = await examined(tables({
    "natives.example": ${JSON.stringify(script)},
    "loop.example": "export default () => { for (;;); };",
  }));
  const make = () => new Bench(given, { limits: { memoryMb: 16, callTimeoutMs: 10 } });
  const patient = new Bench(given, { limits: { memoryMb: 16, callTimeoutMs: 60_000 } });
  const [natives, makers] = JSON.parse(patient.body("natives.example", "/count"));
  patient.sandbox.dispose();
  let bench = make();
  const cost = (authority, path) => {
    const { user, system } = process.cpuUsage();
    const { exchange } = bench.request({ authority, path });
    const after = process.cpuUsage();
    const ms = (after.user - user + after.system - system) / 1000;
    return { ms, body: String(exchange.answered?.body ?? "") };
  };
  const ask = (path) => {
    // Debts would have the script rest.
    const found = cost("natives.example", path);
    if (found.ms > 1) { bench.sandbox.dispose(); bench = make(); bench.request({ authority: "natives.example", path: "/count" }); }
    return found;
  };
  const control = () => { bench.sandbox.dispose(); bench = make(); const { ms } = cost("loop.example", "/"); bench.sandbox.dispose(); bench = make(); return ms; };
  const bound = () => 10 * Math.max(10, control());
  let most = bound();
  const dear = [];
  const long = [];
  let calls = 0;
  const selves = ["nothing", "text", "list", "liar", "bytes", "pattern", "texts", "plain", "new"];
  const firsts = ["text", "near", "list", "liar", "endless", "texts", "big", "bytes", "call"];
  for (const [at, name] of natives.entries()) {
    for (let turn = 0; turn < 4; turn += 1) {
      const self = selves[(at * 2 + turn * 2) % selves.length];
      // Each of both with each native; which go together differs from native to native.
      const first = firsts[(at + turn) % firsts.length];
      const second = makers[(at * 7 + turn * 3) % makers.length];
      const path = ["", at, self, first, second].join("/");
      let { ms, body } = ask(path);
      calls++;
      if (body === "long") long.push([name, path]);
      for (let again = 0; ms > most && again < 3; again++) { most = bound(); ms = Math.min(ms, ask(path).ms); }
      if (ms > most) dear.push([name, path, ms, most]);
    }
  }
  bench.sandbox.dispose();
  process.send({ natives: natives.length, calls, dear, long });`;

describe("every function that a script can reach", function () {
  this.timeout(1_800_000);

  it("takes no longer than some endless loops do, and makes no text that grows from one to the next", async () => {
    const [report] = (await reportsOf(program)) as readonly [
      {
        readonly natives: number;
        readonly calls: number;
        readonly dear: readonly unknown[];
        readonly long: readonly unknown[];
      },
    ];
    const { natives, calls, dear, long } = report;
    expect(natives).to.be.above(350);
    expect(calls).to.equal(4 * natives);
    expect(dear).to.deep.equal([]);
    expect(long).to.deep.equal([]);
  });
});
