// Runs inside the isolate, before a script does: deletes everything that allowed-names.js does not name.
import { allowed } from "./allowed-names.js";
import { deleteProperty, getPrototypeOf, indexOf, ownKeys, slice } from "./realm.js";

/** The objects behind those names of the list that are no globals. */
const hidden = {
  __proto__: null,
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
  bigint: BigInt.prototype,
  promise: Promise.prototype,
  asyncFunction: getPrototypeOf(async () => {}),
  asyncGeneratorFunction: getPrototypeOf(async function* () {}),
  asyncGenerator: getPrototypeOf(async function* () {}).prototype,
  asyncIterator: getPrototypeOf(getPrototypeOf(async function* () {}).prototype),
  inherited: getPrototypeOf(globalThis),
};

/** A key as the list spells it. */
function written(key) {
  return typeof key === "symbol" ? `@@${slice(key.description ?? "", 7)}` : key;
}

function objectOf(name) {
  if (name in hidden) return hidden[name];
  return name.endsWith(".prototype") ? objectOf(name.slice(0, -10)).prototype : globalThis[name];
}

const shapes = [];
for (const name of ownKeys(allowed)) {
  const names = ` ${allowed[name].replace(/\s+/g, " ").trim()} `;
  shapes[shapes.length] = { name, names, object: objectOf(name), count: -1 };
}

function prune(shape) {
  const keys = ownKeys(shape.object);
  // Nearly always so, since the object was pruned when the snapshot was made.
  if (keys.length === shape.count) return;
  shape.count = 0;
  for (let at = 0; at < keys.length; at++) {
    if (indexOf(shape.names, ` ${written(keys[at])} `) === -1)
      deleteProperty(shape.object, keys[at]);
    else shape.count++;
  }
}

for (let at = 1; at < shapes.length; at++) prune(shapes[at]);

/** Prunes the functions that have replaced built-ins meanwhile. Called when all of them are in place. */
export function pruneReplaced() {
  for (let at = 1; at < shapes.length; at++) {
    const shape = shapes[at];
    const object = shape.name in hidden ? shape.object : objectOf(shape.name);
    if (object === shape.object) continue;
    shape.object = object;
    shape.count = -1;
    prune(shape);
  }
}

/** Called in each isolate, since V8 adds some properties to a context that comes from a snapshot. */
export function deleteWhatIsNotAllowed() {
  for (let at = 0; at < shapes.length; at++) prune(shapes[at]);
}
