// Runs inside the isolate, before a script does: bounds what the built-ins do with texts, patterns and
// replacements in one go. For the reasons see bounds.js.
import { items, maxItems, refuse, replace } from "./bounds.js";
import {
  apply,
  defineProperty,
  getOwnPropertyDescriptor,
  indexOf,
  ownKeys,
  toText,
} from "./realm.js";

const maxText = 1_048_576;
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
