// Runs inside the isolate, before a script does: what the bounds on built-ins have in common. Built-ins
// loop inside V8 without looking at the clock, some not at all and some only every thousandth call, so the
// time limit cannot end them: an array of four thousand million holes is made in no time and searched for
// minutes. What syntax does by itself (`a === b`, `a[0]` of very long strings) is not bounded here.
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
/** Comparisons that one search may need, each of one character: some ten milliseconds. */
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
 * Does what the method does. What V8 has in C++ does not look at the clock when it begins, so a loop of V8's
 * own that calls nothing else goes on until the machine's memory is full: it has to be called by a script.
 * `[...{ [Symbol.iterator]: () => ({ next: Error }) }]` is one, with anything for `next` that gives an object.
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

/** What `value` is as a text, asked for once: what was measured is what the built-in gets. */
export function textOf(value, label) {
  const text = typeof value === "string" ? value : `${value}`;
  if (text.length > maxText) refuse(label, characters);
  return text;
}

/** The first characters of a text for a message. Taking them from one that `+` made copies all of it. */
export function beginning(text, most) {
  return text.length > maxText ? "a text of more than 1 MiB" : slice(text, 0, most);
}

/**
 * What is like a list as an array whose length is read once, so that it cannot differ when the built-in
 * reads it. What is no object stays as it is: the built-in refuses it.
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
  // A setter among the properties of all arrays may have got hold of it.
  if (list.length > maxItems) refuse(label, items);
  return list;
}

/**
 * Refuses what has more properties than can be listed in one go: a text has one for each character. The
 * lengths of arrays and of `String` objects are what they say, those of typed arrays are bounded anyway.
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

/** As the language makes a primitive value of an object for an addition (ECMA-262, ToPrimitive). */
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
