// Runs inside the isolate, before a script does: bounds regular expressions, and what replaces a match in a text.
// bounds.js gives the reasons.
import { maxText, refuse, replace, results, textOf } from "./bounds.js";
import {
  apply,
  charCodeAt,
  defineProperty,
  getOwnPropertyDescriptor,
  getPrototypeOf,
  indexOf,
  lock,
  slice,
} from "./realm.js";

const symbols = ["match", "matchAll", "replace", "search", "split"];
const maxPattern = 8_192;
/** With the flags `u` and `v` a few characters of a pattern can name a property of characters in all alphabets. */
const maxUnicode = 1_024;
const maxParts = 1_000;
/** Properties of texts: V8 writes thousands of alternatives for each, and some end its process. */
const textProperties = ["RGI_", "Basic_Emoji", "Keycap_Sequence"];
const PlainRegExp = RegExp;
const patterns = PlainRegExp.prototype;
const sourceOf = getOwnPropertyDescriptor(patterns, "source").get;

function isPattern(value) {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return false;
  try {
    return typeof apply(sourceOf, value, []) === "string";
  } catch {
    return false;
  }
}

/** Whether V8 itself finds the matches: a match that a script's own `exec` makes may claim any length. */
export function isPlainPattern(value) {
  return (
    isPattern(value) &&
    getPrototypeOf(value) === patterns &&
    getOwnPropertyDescriptor(value, "exec") === undefined &&
    getOwnPropertyDescriptor(value, "constructor") === undefined
  );
}

/** The text from which a built-in makes a regular expression. It is bounded, since V8 compiles it in one go. */
export function patternText(value, label) {
  const source = textOf(value, label);
  boundPattern(source, label);
  return source;
}

/** The time to compile a pattern grows with the square of the number of its repetitions and groups. */
function boundPattern(source, label) {
  if (source.length > maxPattern) refuse(label, "patterns of at most 8,192 characters");
  if (source.length <= maxParts) return;
  let parts = 0;
  for (let at = 0; at < source.length; at++) {
    const code = charCodeAt(source, at);
    // ( * + ? {
    if (code === 40 || code === 42 || code === 43 || code === 63 || code === 123) parts++;
  }
  if (parts > maxParts) refuse(label, "patterns with at most 1,000 groups and repetitions");
}

function isUnicode(flags) {
  if (flags === undefined) return false;
  return indexOf(flags, "u") !== -1 || indexOf(flags, "v") !== -1;
}

function BoundedRegExp(pattern, flags) {
  // Objects become texts here and only once, so that V8 compiles the same text that was checked.
  const wanted = flags === undefined ? flags : textOf(flags, "RegExp");
  if (wanted !== undefined && wanted.length > 16) refuse("RegExp", "flags that there are");
  const isCopy = wanted === undefined && isPattern(pattern);
  const written = isPattern(pattern) && !isCopy ? apply(sourceOf, pattern, []) : pattern;
  const source = written === undefined || isCopy ? written : patternText(written, "RegExp");
  if (typeof source === "string" && isUnicode(wanted)) {
    if (source.length > maxUnicode) {
      refuse("RegExp", "patterns of at most 1,024 characters with the flags u and v");
    }
    for (let at = 0; at < textProperties.length; at++) {
      if (indexOf(source, textProperties[at]) !== -1) {
        refuse("RegExp", "properties of characters, not of texts such as RGI_Emoji");
      }
    }
  }
  return apply(PlainRegExp, undefined, [source, wanted]);
}
defineProperty(BoundedRegExp, "name", { value: "RegExp" });
defineProperty(BoundedRegExp, "prototype", { value: patterns, writable: false });
// V8 would ask this property for the constructor of a pattern's copy.
lock(BoundedRegExp, Symbol.species, undefined);
lock(patterns, "constructor", BoundedRegExp);
globalThis.RegExp = BoundedRegExp;

/** Called once in each isolate, since V8 adds `escape` to a context that comes from a snapshot. */
export function boundNewPatterns() {
  const descriptor = getOwnPropertyDescriptor(PlainRegExp, "escape");
  if (descriptor === undefined) return;
  const native = descriptor.value;
  const bounded = {
    escape: (text) => native(typeof text === "string" ? textOf(text, "escape") : text),
  };
  defineProperty(BoundedRegExp, "escape", { ...descriptor, value: bounded.escape });
}

// A script may call this on an object of its own, with a source and flags of any length.
replace(
  patterns,
  "toString",
  () =>
    ({
      toString() {
        return textOf(
          `/${textOf(this.source, "toString")}/${textOf(this.flags, "toString")}`,
          "toString",
        );
      },
    }).toString,
);

const onSubject = (method, label) =>
  ({
    [label](text) {
      return apply(method, this, [textOf(text, label)]);
    },
  })[label];
replace(patterns, "exec", onSubject);
replace(patterns, "test", onSubject);
lock(patterns, "exec", patterns.exec);

/** Counts the `$` in a replacement, up to `most`. */
function marksOf(template, most) {
  let marks = 0;
  for (let at = indexOf(template, "$"); at !== -1 && marks < most; marks++) {
    at = indexOf(template, "$", at + 1);
  }
  return marks;
}

/**
 * What a built-in that replaces gets: the template itself when no number of matches can make the outcome long,
 * otherwise a function that expands it within a budget.
 * @param parts how many matches there are at most.
 */
export function replacementFor(replacement, text, parts, label) {
  if (typeof replacement === "function") {
    return budgeted((matched) => apply(replacement, undefined, matched), label);
  }
  const template = textOf(replacement, label);
  const { length } = text;
  if (parts * template.length <= maxText) {
    const most = maxText / (parts * (length + 1));
    if (marksOf(template, most + 1) <= most) return template;
  }
  return budgeted((matched) => expanded(template, matched, label), label);
}

function budgeted(make, label) {
  let total = 0;
  return (...matched) => {
    const piece = textOf(make(matched), label);
    total += piece.length;
    if (total > maxText) refuse(label, results);
    return piece;
  };
}

/** Expands a template for a match (ECMA-262, GetSubstitution). @param matched what a replacing function gets. */
function expanded(template, matched, label) {
  const last = matched.length - 1;
  const groups = typeof matched[last] === "string" ? undefined : matched[last];
  const end = groups === undefined ? last : last - 1;
  const text = matched[end];
  const position = matched[end - 1];
  const captures = end - 2;
  let made = "";
  let from = 0;
  for (let at = indexOf(template, "$"); at !== -1; at = indexOf(template, "$", from)) {
    made += slice(template, from, at);
    const [piece, length] = part(template, at, { matched, groups, text, position, captures });
    made += piece;
    from = at + length;
    if (made.length > maxText) refuse(label, results);
  }
  return made + slice(template, from);
}

/** What the `$` at this place stands for, and how many characters of the template it takes up. */
function part(template, at, { matched, groups, text, position, captures }) {
  const code = at + 1 < template.length ? charCodeAt(template, at + 1) : 0;
  if (code === 36) return ["$", 2];
  if (code === 38) return [matched[0], 2];
  if (code === 96) return [slice(text, 0, position), 2];
  if (code === 39) return [slice(text, position + matched[0].length), 2];
  if (code === 60 && groups !== undefined) {
    const close = indexOf(template, ">", at + 2);
    if (close === -1) return ["$", 1];
    const named = groups[slice(template, at + 2, close)];
    return [named === undefined ? "" : textOf(named, "replace"), close + 1 - at];
  }
  if (code < 48 || code > 57) return ["$", 1];
  const one = code - 48;
  const next = at + 2 < template.length ? charCodeAt(template, at + 2) : 0;
  const two = one * 10 + next - 48;
  if (next >= 48 && next <= 57 && two >= 1 && two <= captures) return [matched[two] ?? "", 3];
  return one >= 1 && one <= captures ? [matched[one] ?? "", 2] : ["$", 1];
}

function custom(label) {
  refuse(label, "regular expressions whose exec is their own");
}
/** What each method of a text does with a plain pattern. */
export const onPlainPattern = { __proto__: null };
for (const name of symbols) {
  const native = patterns[Symbol[name]];
  onPlainPattern[name] =
    name === "replace"
      ? (pattern, text, replacement) => {
          const wanted = replacementFor(replacement, text, text.length + 1, name);
          return apply(native, pattern, [text, wanted]);
        }
      : (pattern, text, second) => apply(native, pattern, [text, second]);
  const label = `Symbol.${name}`;
  const bounded = {
    [label](text, second) {
      if (!isPlainPattern(this)) custom(label);
      return onPlainPattern[name](this, textOf(text, label), second);
    },
  }[label];
  lock(patterns, Symbol[name], bounded);
}
