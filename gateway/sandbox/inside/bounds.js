// Runs inside the isolate, before a script does: what the bounds on built-ins have in common. V8 ends a script
// only where it looks at the clock, and its built-ins never do so in their loops, or only at every thousandth
// call, so the time limit cannot end them: a script makes an array of four thousand million holes in no time, and
// V8 searches it for minutes. What syntax does by itself (`a === b`, `a[0]` of very long strings) is not bounded here.
import {
  apply,
  defineProperty,
  getOwnPropertyDescriptor,
  isArray,
  PlainRangeError,
  PlainTypeError,
  slice,
} from "./realm.js";

export const maxItems = 100_000;
export const items = "arrays of at most 100,000 items";
export const maxText = 1_048_576;
export const characters = "texts of at most 1 MiB";
export const results = "results of at most 1 MiB";
/** How many characters one search may compare at worst: some ten milliseconds. */
export const maxSteps = 16_777_216;

export function refuse(label, what) {
  throw new PlainRangeError(`${label}: only for ${what}`);
}

/** Puts `make(method, name)` in the place of a method; its other attributes stay. */
export function replace(owner, name, make) {
  const descriptor = getOwnPropertyDescriptor(owner, name);
  if (typeof descriptor?.value !== "function") return;
  const label = typeof name === "symbol" ? name.description : name;
  defineProperty(owner, name, { ...descriptor, value: make(descriptor.value, label) });
}

/**
 * Wraps a built-in in a script's function. V8 looks at the clock when a script's function begins, but not when a
 * built-in in C++ begins. A loop of V8 that calls only such a built-in would fill the machine's memory:
 * `[...{ [Symbol.iterator]: () => ({ next: Error }) }]`, or any other built-in for `next` that gives an object.
 */
export const inScript = (method, label) =>
  ({
    [label](...values) {
      return apply(method, this, values);
    },
  })[label];

/** As `inScript`, for the getter of a property. */
export function replaceGetter(owner, name) {
  const descriptor = getOwnPropertyDescriptor(owner, name);
  defineProperty(owner, name, { ...descriptor, get: inScript(descriptor.get, `get ${name}`) });
}

/** `value` as a text, made only once, so that the built-in gets the same text that was measured. */
export function textOf(value, label) {
  const text = typeof value === "string" ? value : `${value}`;
  if (text.length > maxText) refuse(label, characters);
  return text;
}

/** The first characters of a text, for a message. A very long one is not cut: V8 would copy all of it first. */
export function beginning(text, most) {
  return text.length > maxText ? "a text of more than 1 MiB" : slice(text, 0, most);
}

/**
 * Copies an array-like object into an array. Its length is read only once, so the built-in cannot read another
 * one. The built-in itself refuses what is no object.
 */
export function listOf(value, label) {
  if (isArray(value)) {
    if (value.length > maxItems) refuse(label, items);
    return value;
  }
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return value;
  const length = +value.length;
  if (length > maxItems) refuse(label, items);
  const list = [];
  for (let at = 0; at < length; at++) list[at] = value[at];
  // The loop runs the script's setters, if it put any on Array.prototype, and they may have made the list longer.
  if (list.length > maxItems) refuse(label, items);
  return list;
}

/**
 * Refuses what has too many properties to list them in one go. A text has a property for each character. A script
 * cannot forge the length of an array or a `String` object, and typed arrays are bounded when they are made.
 */
export function boundProperties(value, label) {
  if (typeof value === "string") {
    if (value.length > maxItems) refuse(label, "texts of at most 100,000 characters");
  } else if (typeof value === "object" && value !== null) {
    if (getOwnPropertyDescriptor(value, "length")?.value > maxItems) refuse(label, items);
  }
}

export const isObject = (value) =>
  (typeof value === "object" && value !== null) || typeof value === "function";

/** Makes a primitive value of an object as an addition does (ECMA-262, ToPrimitive). */
export function primitive(value) {
  const exotic = value[Symbol.toPrimitive];
  let made;
  if (exotic !== undefined && exotic !== null) made = apply(exotic, value, ["default"]);
  else {
    const { valueOf: asValue } = value;
    made = typeof asValue === "function" ? apply(asValue, value, []) : value;
    if (isObject(made)) {
      const { toString: asText } = value;
      made = typeof asText === "function" ? apply(asText, value, []) : value;
    }
  }
  if (isObject(made)) throw new PlainTypeError("Cannot convert object to primitive value");
  return made;
}
