// Runs inside the isolate, before a script does: bounds what the built-ins go through in one go. They
// loop inside V8 without looking at the clock, some not at all and some only every thousandth call, so
// the time limit cannot end them: an array of four thousand million holes is made in no time and
// searched for minutes. What syntax does by itself (`a === b`, `a[0]` of very long strings) stays.
import {
  apply,
  defineProperty,
  getOwnPropertyDescriptor,
  getPrototypeOf,
  indexOf,
  isArray,
  ownKeys,
  PlainRangeError,
  toText,
} from "./realm.js";

const maxItems = 100_000;
const maxText = 1_048_576;

/** Puts `make(method, name)` in the place of a method; its other attributes stay. */
function replace(owner, name, make) {
  const descriptor = getOwnPropertyDescriptor(owner, name);
  if (typeof descriptor?.value !== "function") return;
  const label = typeof name === "symbol" ? name.description : name;
  defineProperty(owner, name, { ...descriptor, value: make(descriptor.value, label) });
}

function refuse(label, what) {
  throw new PlainRangeError(`${label}: only for ${what}`);
}
const items = "arrays of at most 100,000 items";
const characters = "texts of at most 1 MiB";

function isLongText(value) {
  return typeof value === "string" && value.length > maxText;
}

/** Texts as `this` and as the first two values. */
function onTexts(method, label) {
  return {
    [label](first, second, ...more) {
      if (isLongText(this) || isLongText(first) || isLongText(second)) refuse(label, characters);
      if (more.length > 0) return apply(method, this, [first, second, ...more]);
      if (second !== undefined) return apply(method, this, [first, second]);
      return first === undefined ? apply(method, this, []) : apply(method, this, [first]);
    },
  }[label];
}

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

// Texts.
for (const name of ownKeys(String.prototype)) {
  if (name === "constructor" || name === "length" || name === Symbol.iterator) continue;
  replace(String.prototype, name, onTexts);
}
for (const name of ["match", "matchAll", "replace", "search", "split"]) {
  replace(RegExp.prototype, Symbol[name], onTexts);
}
for (const name of ["encodeURI", "encodeURIComponent", "decodeURI", "decodeURIComponent"]) {
  replace(globalThis, name, onTexts);
}
for (const name of ["escape", "unescape", "parseInt", "parseFloat"]) {
  replace(globalThis, name, onTexts);
}
replace(JSON, "parse", onTexts);
replace(JSON, "stringify", onTexts);
replace(Date, "parse", onTexts);
delete RegExp.prototype.compile;

const growing = (length) => (method, label) =>
  ({
    [label](count, fill) {
      const wanted = +count;
      if (length(this, wanted) > maxText || isLongText(fill)) {
        refuse(label, "results of at most 1 MiB");
      }
      return apply(method, this, fill === undefined ? [wanted] : [wanted, fill]);
    },
  })[label];
replace(
  String.prototype,
  "repeat",
  growing((text, times) => `${text}`.length * times),
);
replace(
  String.prototype,
  "padStart",
  growing((_, length) => length),
);
replace(
  String.prototype,
  "padEnd",
  growing((_, length) => length),
);

// A replacement is taken apart at each `$`, and put together anew for each place that it is put into.
const maxReplaced = 4_194_304;
function onReplacement(method, label) {
  const bounded = onTexts(method, label);
  return {
    [label](first, second) {
      if (typeof second === "string" && second.length > 1) {
        // For a regular expression's own method, the text is the first value.
        const text = typeof this === "string" ? this : first;
        const { length } = typeof text === "string" ? text : "";
        let marks = 0;
        const most = second.length > maxText ? 0 : maxReplaced / (length + 1);
        for (let at = indexOf(second, "$"); at !== -1 && marks <= most; marks++) {
          at = indexOf(second, "$", at + 2);
        }
        if (marks > 1 && marks > most) refuse(label, "fewer $ in what is put into so long a text");
      }
      return apply(bounded, this, [first, second]);
    },
  }[label];
}
replace(String.prototype, "replace", onReplacement);
replace(String.prototype, "replaceAll", onReplacement);
replace(RegExp.prototype, Symbol.replace, onReplacement);

// What lists the properties of a text has one for each character.
const onProperties = (method, label) =>
  ({
    [label](...values) {
      for (let at = 0; at < values.length; at++) {
        const value = values[at];
        if (isLongText(value)) refuse(label, characters);
        if (typeof value !== "object" || value === null) continue;
        if (getOwnPropertyDescriptor(value, "length")?.value > maxItems) refuse(label, items);
      }
      return apply(method, this, values);
    },
  })[label];
for (const name of [
  "assign",
  "keys",
  "values",
  "entries",
  "freeze",
  "seal",
  "isFrozen",
  "isSealed",
]) {
  replace(Object, name, onProperties);
}
replace(Object, "preventExtensions", onProperties);
replace(Object, "getOwnPropertyNames", onProperties);
replace(Object, "getOwnPropertyDescriptors", onProperties);
replace(Object, "getOwnPropertySymbols", onProperties);
replace(Reflect, "ownKeys", onProperties);
replace(Reflect, "preventExtensions", onProperties);

// A pattern is compiled in one go.
const maxPattern = 8_192;
const PlainRegExp = RegExp;
const sourceOf = getOwnPropertyDescriptor(RegExp.prototype, "source").get;
function isPattern(value) {
  try {
    return typeof apply(sourceOf, value, []) === "string";
  } catch {
    return false;
  }
}
function BoundedRegExp(pattern, flags) {
  // What is no text becomes one here, so that it is the text that was looked at which is compiled.
  const source = pattern === undefined || isPattern(pattern) ? pattern : toText(pattern);
  if (typeof source === "string" && source.length > maxPattern) {
    refuse("RegExp", "patterns of at most 8,192 characters");
  }
  const wanted = flags === undefined ? flags : toText(flags);
  if (wanted !== undefined && wanted.length > 16) refuse("RegExp", "flags that there are");
  return apply(PlainRegExp, undefined, [source, wanted]);
}
BoundedRegExp.prototype = PlainRegExp.prototype;
defineProperty(BoundedRegExp, "name", { value: "RegExp" });
PlainRegExp.prototype.constructor = BoundedRegExp;
globalThis.RegExp = BoundedRegExp;

/** Called once in each isolate: what V8 puts into a context that comes from a snapshot. */
export function boundWhatIsNew() {
  const descriptor = getOwnPropertyDescriptor(PlainRegExp, "escape");
  if (descriptor === undefined) return;
  defineProperty(BoundedRegExp, "escape", {
    ...descriptor,
    value: onTexts(descriptor.value, "escape"),
  });
}

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
