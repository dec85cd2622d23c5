import { expect } from "chai";
import ivm from "isolated-vm";
import { createBaseSnapshot, takeEntry } from "../run/base-snapshot.ts";
import { allowed } from "./allowed-names.js";

/**
 * Walks everything that a script can reach, by names and by what syntax makes, and returns what is not in
 * the list: `$0` as JSON.
 */
const walk = `
  const allowed = JSON.parse($0);
  const { getOwnPropertyDescriptor: describe, getPrototypeOf } = Object;
  const samples = {
    "Function.prototype": getPrototypeOf(() => {}),
    "GeneratorFunction.prototype": getPrototypeOf(function* () {}),
    "Generator.prototype": getPrototypeOf(function* () {}).prototype,
    TypedArray: getPrototypeOf(Uint8Array),
    ArrayIterator: getPrototypeOf([].values()),
    StringIterator: getPrototypeOf(""[Symbol.iterator]()),
    MapIterator: getPrototypeOf(new Map().values()),
    SetIterator: getPrototypeOf(new Set().values()),
    RegExpStringIterator: getPrototypeOf("".matchAll(/a/g)),
    IteratorHelper: getPrototypeOf([].values().map((each) => each)),
    WrappedIterator: getPrototypeOf(Iterator.from({ next() {} })),
    bigint: getPrototypeOf(10n),
    promise: getPrototypeOf((async () => {})()),
    asyncFunction: getPrototypeOf(async () => {}),
    asyncGeneratorFunction: getPrototypeOf(async function* () {}),
    asyncGenerator: getPrototypeOf(async function* () {}).prototype,
    asyncIterator: getPrototypeOf(getPrototypeOf(async function* () {}).prototype),
    inherited: getPrototypeOf(globalThis),
  };
  const resolve = (name) =>
    samples[name] ??
    (name.endsWith(".prototype") ? resolve(name.slice(0, -10)).prototype : globalThis[name]);
  const names = new Map();
  const strange = [];
  for (const name of Object.keys(allowed)) names.set(resolve(name), name);
  const own = " deny respond redirect log crypto settings ªtext ªadd ªshort ªlist ªkey ªsize ªpause ªvalues ";
  const queue = [[globalThis, "globalThis"], ...Object.entries(samples).map(([n, o]) => [o, n])];
  const syntax = [
    [(function () { return arguments; })(), "arguments"],
    [((strings) => strings)\`a\`, "template"],
    [(() => { try { null.x; } catch (error) { return error; } })(), "error"],
    [/(?<a>b)/d.exec("b"), "match"],
    [class { static #a = 1; get b() { return 1; } }, "class"],
    [async function* () {}.prototype, "async generator"],
  ];
  const seen = new Set();
  const see = (value, path) => {
    if ((typeof value === "object" || typeof value === "function") && value !== null) {
      queue.push([value, path]);
    }
  };
  for (const [value, path] of syntax) {
    see(getPrototypeOf(value), path);
  }
  let functions = 0;
  for (let at = 0; at < queue.length; at++) {
    const [value, path] = queue[at];
    if (seen.has(value)) continue;
    seen.add(value);
    see(getPrototypeOf(value), path + ".__proto__");
    const name = names.get(value);
    const isOwn = path.split(".").some((part) => own.includes(" " + part + " "));
    if (typeof value === "function") functions++;
    const may =
      name !== undefined
        ? " " + allowed[name].replace(/\\s+/g, " ") + (value === globalThis ? own : "") + " "
        : typeof value === "function"
          ? " length name prototype "
          : null;
    for (const key of Reflect.ownKeys(value)) {
      const written = typeof key === "symbol" ? "@@" + String(key.description).slice(7) : key;
      const place = path + "." + written;
      const isData = written === "@@unscopables" || path.endsWith("@@unscopables");
      if (!isOwn && !isData && (may === null || !may.includes(" " + written + " "))) {
        strange.push(place);
      }
      const { value: held, get, set } = describe(value, key);
      see(held, place);
      see(get, place);
      see(set, place);
    }
  }
  return JSON.stringify({ strange, objects: seen.size, functions });`;

interface Walked {
  readonly strange: readonly string[];
  readonly objects: number;
  readonly functions: number;
}

describe("what a script can reach", () => {
  const reach = (before: string): Walked => {
    const isolate = new ivm.Isolate({ memoryLimit: 32, snapshot: createBaseSnapshot() });
    try {
      const context = isolate.createContextSync();
      if (before !== "") context.evalSync(before);
      context.evalClosureSync(takeEntry, [], { result: { reference: true } });
      return JSON.parse(context.evalClosureSync(walk, [JSON.stringify(allowed)])) as Walked;
    } finally {
      isolate.dispose();
    }
  };

  it("is on the list, by names and by what syntax makes", () => {
    const { strange, objects, functions } = reach("");
    expect(strange).to.deep.equal([]);
    expect(objects).to.be.above(400);
    expect(functions).to.be.above(350);
  });

  it("stays so when V8 brings something new into a context", () => {
    const { strange } = reach(`
      globalThis.Novelty = class {};
      Date.prototype.toNovelty = () => {};
      Uint8Array.fromNovelty = () => {};
      RegExp.novelty = () => {};
      Object.getPrototypeOf([].values()).novelty = () => {};`);
    expect(strange).to.deep.equal([]);
  });
});
