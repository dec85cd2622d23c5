// Runs inside the isolate, before a script does: bounds what the built-ins go through in one go. They
// loop inside V8 without looking at the clock, some not at all and some only every thousandth call, so
// the time limit cannot end them: an array of four thousand million holes is made in no time and
// searched for minutes. What syntax does by itself (`a === b`, `a[0]` of very long strings) stays.
import {
  apply,
  defineProperty,
  getOwnPropertyDescriptor,
  getPrototypeOf,
  isArray,
  ownKeys,
  PlainRangeError,
} from "./realm.js";

export const maxItems = 100_000;

/** Puts `make(method, name)` in the place of a method; its other attributes stay. */
export function replace(owner, name, make) {
  const descriptor = getOwnPropertyDescriptor(owner, name);
  if (typeof descriptor?.value !== "function") return;
  const label = typeof name === "symbol" ? name.description : name;
  defineProperty(owner, name, { ...descriptor, value: make(descriptor.value, label) });
}

export function refuse(label, what) {
  throw new PlainRangeError(`${label}: only for ${what}`);
}
export const items = "arrays of at most 100,000 items";

// Arrays, and what only looks like one.
const short = (value) => isArray(value) && value.length <= maxItems;
const untouched = ["constructor", "push", "pop", "at", "values", "keys", "entries", "toString"];
for (const name of ownKeys(Array.prototype)) {
  if (typeof name === "symbol" || untouched.includes(name)) continue;
  replace(
    Array.prototype,
    name,
    (method, label) =>
      ({
        [label](...values) {
          if (!short(this)) refuse(label, items);
          for (let at = 0; at < values.length; at++) {
            if (isArray(values[at]) && !short(values[at])) refuse(label, items);
          }
          return apply(method, this, values);
        },
      })[label],
  );
}
// In steps that the clock sees: what is inside of an array is not looked at above.
function flatten(list, depth, target) {
  if (!short(list)) refuse("flat", items);
  for (let at = 0; at < list.length; at++) {
    if (!(at in list)) continue;
    if (depth > 0 && isArray(list[at])) flatten(list[at], depth - 1, target);
    else if (target.length >= maxItems) refuse("flat", items);
    else defineProperty(target, target.length, item(list[at]));
  }
  return target;
}
const item = (value) => ({
  __proto__: null,
  value,
  writable: true,
  enumerable: true,
  configurable: true,
});
replace(
  Array.prototype,
  "flat",
  () =>
    ({
      flat(depth = 1) {
        return flatten(this, depth, []);
      },
    }).flat,
);
replace(
  Array.prototype,
  "flatMap",
  () =>
    ({
      flatMap(map, self) {
        if (!short(this)) refuse("flatMap", items);
        const mapped = [];
        for (let at = 0; at < this.length; at++) {
          if (at in this) defineProperty(mapped, at, item(apply(map, self, [this[at], at, this])));
        }
        return flatten(mapped, 1, []);
      },
    }).flatMap,
);

const typedArray = getPrototypeOf(Uint8Array);
const lengthOf = getOwnPropertyDescriptor(typedArray.prototype, "length").get;
for (const name of ownKeys(typedArray.prototype)) {
  if (typeof name === "symbol" || untouched.includes(name)) continue;
  replace(
    typedArray.prototype,
    name,
    (method, label) =>
      ({
        [label](...values) {
          if (apply(lengthOf, this, []) > maxItems) refuse(label, items);
          if (values[0] !== null && typeof values[0] === "object" && values[0].length > maxItems) {
            refuse(label, items);
          }
          return apply(method, this, values);
        },
      })[label],
  );
}

/** For what takes a list: `at` is its place among the values. */
const onList = (at) => (method, label) =>
  ({
    [label](...values) {
      const list = values[at];
      if (list !== null && typeof list === "object" && list.length > maxItems) refuse(label, items);
      return apply(method, this, values);
    },
  })[label];
replace(Array, "from", onList(0));
replace(typedArray, "from", onList(0));
replace(Object, "groupBy", onList(0));
replace(Map, "groupBy", onList(0));
replace(Reflect, "apply", onList(2));
replace(Reflect, "construct", onList(1));
replace(
  getPrototypeOf(() => {}),
  "apply",
  onList(1),
);
replace(
  String,
  "raw",
  (method, label) =>
    ({
      [label](strings, ...values) {
        if (strings.raw.length > maxItems) refuse(label, items);
        return apply(method, this, [strings, ...values]);
      },
    })[label],
);

// What goes through tables of languages.
for (const type of [Array, typedArray, Number, Date, String, Object]) {
  for (const name of ownKeys(type.prototype)) {
    if (typeof name === "string" && name.startsWith("toLocale")) delete type.prototype[name];
  }
}
delete String.prototype.localeCompare;
for (const name of ["BigInt64", "BigUint64"]) {
  delete DataView.prototype[`get${name}`];
  delete DataView.prototype[`set${name}`];
}
