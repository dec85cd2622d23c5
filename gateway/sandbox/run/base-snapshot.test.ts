import { expect } from "chai";
import ivm from "isolated-vm";
import { createBaseSnapshot, insideCode, takeEntry } from "./base-snapshot.ts";

/** Everything that code in a context can reach, a line for each property: its path, kind and flags. */
const walk = `
  const { getOwnPropertyDescriptor: describe, getPrototypeOf, isExtensible } = Object;
  const lines = [];
  const seen = new Map();
  const queue = [[globalThis, "globalThis"]];
  const see = (value, path) => {
    if ((typeof value !== "object" && typeof value !== "function") || value === null) {
      return typeof value + " " + String(value).slice(0, 40);
    }
    if (!seen.has(value)) {
      seen.set(value, path);
      queue.push([value, path]);
    }
    return seen.get(value);
  };
  for (let at = 0; at < queue.length; at++) {
    const [value, path] = queue[at];
    lines.push(path + " is " + typeof value + (isExtensible(value) ? "" : ", closed"));
    lines.push(path + ".__proto__: " + see(getPrototypeOf(value), path + ".__proto__"));
    for (const key of Reflect.ownKeys(value)) {
      const { value: held, get, set, writable, enumerable, configurable } = describe(value, key);
      const own = path + "." + String(key);
      const what = [held, get, set].map((each, which) => see(each, own + "#" + which));
      lines.push([own, ...what, writable, enumerable, configurable].join(" "));
    }
  }
  return lines.sort().join("\\n");`;

function reachable(isolate: ivm.Isolate, code: string): string[] {
  const context = isolate.createContextSync();
  if (code !== "") context.evalSync(code);
  context.evalClosureSync(takeEntry, [], { result: { reference: true } });
  return String(context.evalClosureSync(walk)).split("\n");
}

describe("the base snapshot", () => {
  it("leaves in a script's reach what running its code in a new isolate leaves, and nothing else", () => {
    const begun = new ivm.Isolate({ memoryLimit: 16, snapshot: createBaseSnapshot() });
    const plain = new ivm.Isolate({ memoryLimit: 16 });
    const lines = reachable(begun, "");
    expect(lines).to.have.length.above(1_000);
    expect(lines).to.deep.equal(reachable(plain, insideCode()));
    begun.dispose();
    plain.dispose();
  });

  it("is not changed by an isolate that began with it", () => {
    const snapshot = createBaseSnapshot();
    const first = new ivm.Isolate({ memoryLimit: 16, snapshot });
    const before = reachable(first, "");
    first.createContextSync().evalSync("Array.prototype.push = 1; globalThis.mine = 1;");
    const second = new ivm.Isolate({ memoryLimit: 16, snapshot });
    expect(reachable(second, "")).to.deep.equal(before);
    first.dispose();
    second.dispose();
  });
});
