// Runs inside the isolate, before a script does: bounds what the built-ins do with texts. A built-in gets a
// text that was measured, never an object that it would turn into a text itself. bounds.js gives the reasons.
import {
  isObject,
  listOf,
  maxSteps,
  maxText,
  primitive,
  refuse,
  replace,
  results,
  textOf,
} from "./bounds.js";
import {
  isPlainPattern,
  onPlainPattern,
  patternText,
  replacementFor,
} from "./bounds-of-patterns.js";
import {
  apply,
  construct,
  defineProperty,
  exec,
  getOwnPropertyDescriptor,
  lock,
  ownKeys,
} from "./realm.js";

/** The text that a method is called on. The built-in itself refuses `null` and `undefined`. */
function ownText(self, label) {
  return self === null || self === undefined ? self : textOf(self, label);
}

/** Nearly all texts are shorter than this, and no method takes long with them. */
const shortText = 4_096;
const areShort = (text, wanted) =>
  typeof text === "string" &&
  typeof wanted === "string" &&
  text.length <= shortText &&
  wanted.length <= shortText;

/** For methods that go through their own text once and take numbers. */
const onOwnText = (method, label) =>
  ({
    [label](first, second) {
      const isShort = typeof this === "string" && this.length <= shortText;
      const text = isShort ? this : ownText(this, label);
      if (second !== undefined) return apply(method, text, [first, second]);
      return first === undefined ? apply(method, text, []) : apply(method, text, [first]);
    },
  })[label];

// At worst nearly all of `wanted` fits at each place, so each of its characters is compared there.
function boundSearch(text, wanted, label) {
  if (wanted.length * (text.length - wanted.length + 1) > maxSteps) {
    refuse(label, "shorter texts: at worst each character is compared with each");
  }
}
const onSearch = (method, label) =>
  ({
    [label](wanted, from) {
      if (areShort(this, wanted)) return apply(method, this, [wanted, from]);
      const text = ownText(this, label);
      // The built-in itself refuses a pattern.
      if (isPlainPattern(wanted) || typeof text !== "string") return apply(method, text, [wanted]);
      const looked = textOf(wanted, label);
      boundSearch(text, looked, label);
      return apply(method, text, [looked, from]);
    },
  })[label];

/** For methods that take a pattern or a text. As in the language, a method that the pattern brings comes first. */
const onPattern = (name, onText) => (method, label) =>
  ({
    [label](wanted, second) {
      const text = ownText(this, label);
      if (typeof text !== "string") return apply(method, text, []);
      if ((typeof wanted === "object" || typeof wanted === "function") && wanted !== null) {
        if (isPlainPattern(wanted)) {
          // `matchAll` and `replaceAll` go to the built-in, which first checks that the pattern is global.
          return label === name && label !== "matchAll"
            ? onPlainPattern[name](wanted, text, second)
            : apply(method, text, [wanted, second]);
        }
        const own = wanted[Symbol[name]];
        if (own !== undefined && own !== null) return apply(own, wanted, [text, second]);
      }
      return onText(method, text, wanted, second, label);
    },
  })[label];
function byPatternText(method, text, wanted, _, label) {
  return apply(method, text, wanted === undefined ? [] : [patternText(wanted, label)]);
}
function bySeparator(method, text, wanted, limit, label) {
  if (areShort(text, wanted)) return apply(method, text, [wanted, limit]);
  if (wanted === undefined) return apply(method, text, [wanted, limit]);
  const separator = textOf(wanted, label);
  boundSearch(text, separator, label);
  return apply(method, text, [separator, limit]);
}
function byReplacement(method, text, wanted, second, label) {
  const looked = textOf(wanted, label);
  boundSearch(text, looked, label);
  const parts = label === "replace" ? 1 : text.length / (looked.length || 1) + 1;
  return apply(method, text, [looked, replacementFor(second, text, parts, label)]);
}

const growing = (length) => (method, label) =>
  ({
    [label](count, fill) {
      const text = ownText(this, label);
      const wanted = +count;
      if (typeof text === "string" && length(text, wanted) > maxText) refuse(label, results);
      return apply(method, text, fill === undefined ? [wanted] : [wanted, textOf(fill, label)]);
    },
  })[label];

// `normalize` sorts the marks of a character in a time that grows with the square of their number. Unicode
// Standard Annex #15 allows thirty in its Stream-Safe Text Format.
const manyMarks = /\p{M}{31}/u;
const onMarks = (method, label) =>
  ({
    [label](form) {
      const text = ownText(this, label);
      if (typeof text === "string" && exec(manyMarks, text) !== null) {
        refuse(label, "texts with at most 30 marks on a character");
      }
      return apply(method, text, form === undefined ? [] : [textOf(form, label)]);
    },
  })[label];

const onParts = (method, label) =>
  ({
    [label](...values) {
      let text = ownText(this, label);
      if (typeof text !== "string") return apply(method, text, []);
      for (let at = 0; at < values.length; at++) {
        text += textOf(values[at], label);
        if (text.length > maxText) refuse(label, results);
      }
      return text;
    },
  })[label];

const makers = {
  __proto__: null,
  constructor: null,
  length: null,
  toString: null,
  valueOf: null,
  concat: onParts,
  endsWith: onSearch,
  includes: onSearch,
  indexOf: onSearch,
  lastIndexOf: onSearch,
  startsWith: onSearch,
  match: onPattern("match", byPatternText),
  matchAll: onPattern("matchAll", byPatternText),
  normalize: onMarks,
  padEnd: growing((_, length) => length),
  padStart: growing((_, length) => length),
  repeat: growing((text, times) => text.length * times),
  replace: onPattern("replace", byReplacement),
  replaceAll: onPattern("replace", byReplacement),
  search: onPattern("search", byPatternText),
  split: onPattern("split", bySeparator),
};
for (const name of ownKeys(String.prototype)) {
  if (typeof name === "symbol") continue;
  const make = makers[name];
  if (make !== null) replace(String.prototype, name, make ?? onOwnText);
}

replace(
  String,
  "raw",
  () =>
    ({
      raw(strings, ...values) {
        const parts = listOf(strings.raw, "raw");
        let text = "";
        for (let at = 0; at < parts.length; at++) {
          if (at > 0 && at <= values.length) text += textOf(values[at - 1], "raw");
          text += textOf(parts[at], "raw");
          if (text.length > maxText) refuse("raw", results);
        }
        return text;
      },
    }).raw,
);

// The results are several times as long as the text, or have a value for every few characters of it.
const maxCoded = 131_072;
const onCoded = (method, label) =>
  ({
    [label](value, second) {
      const text = textOf(value, label);
      if (text.length > maxCoded) refuse(label, "texts of at most 128 KiB");
      return apply(method, this, [text, second]);
    },
  })[label];
for (const name of [
  ..."encodeURI encodeURIComponent decodeURI decodeURIComponent escape unescape".split(" "),
]) {
  replace(globalThis, name, onCoded);
}
replace(JSON, "parse", onCoded);

const onWrittenNumber = (method, label) =>
  ({
    [label](value, second) {
      return apply(method, this, [textOf(value, label), second]);
    },
  })[label];
replace(globalThis, "parseInt", onWrittenNumber);
replace(globalThis, "parseFloat", onWrittenNumber);
Number.parseInt = parseInt;
Number.parseFloat = parseFloat;

// V8 goes through the whole text several times when it looks for a date.
const PlainDate = Date;
const maxDate = 1_024;
const timeOf = PlainDate.prototype.getTime;
function isDate(value) {
  try {
    apply(timeOf, value, []);
    return true;
  } catch {
    return false;
  }
}
function writtenDate(value) {
  const date = isObject(value) && !isDate(value) ? primitive(value) : value;
  if (typeof date === "string" && date.length > maxDate) {
    refuse("Date", "texts of at most 1,024 characters");
  }
  return date;
}
function BoundedDate(...values) {
  if (new.target === undefined) return PlainDate();
  if (values.length === 1) values[0] = writtenDate(values[0]);
  return construct(PlainDate, values, new.target);
}
const parseDate = PlainDate.parse;
replace(PlainDate, "parse", () => ({ parse: (text) => parseDate(writtenDate(`${text}`)) }).parse);
for (const key of ownKeys(PlainDate)) {
  defineProperty(BoundedDate, key, getOwnPropertyDescriptor(PlainDate, key));
}
lock(PlainDate.prototype, "constructor", BoundedDate);
defineProperty(globalThis, "Date", { value: BoundedDate, writable: true, configurable: true });
