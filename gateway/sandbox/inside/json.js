// Runs inside the isolate, before a script does: writes values as JSON within a budget of characters, and in steps
// at which V8 looks at the clock. V8's own `JSON.stringify` goes through all of a value in one go, even when the
// value holds the same object a thousand times.
import {
  beginning,
  boundProperties,
  listOf,
  maxText,
  refuse,
  replace,
  results,
  textOf,
} from "./bounds.js";
import { apply, getPrototypeOf, isArray, isFiniteNumber, namesOf, slice, toJson } from "./realm.js";

const { prototype: plainObject } = Object;
const numberOf = Number.prototype.valueOf;
const stringOf = String.prototype.valueOf;
const booleanOf = Boolean.prototype.valueOf;
/** Thrown when only the beginning is wanted and has been written. */
const enough = { __proto__: null };

/** The primitive value in a `Number`, `String` or `Boolean` object. */
function unboxed(value) {
  if (isArray(value)) return value;
  const owner = getPrototypeOf(value);
  if (owner === plainObject || owner === null) return value;
  for (let at = 0; at < 3; at++) {
    try {
      const what = apply(at === 0 ? numberOf : at === 1 ? stringOf : booleanOf, value, []);
      return at === 0 ? +value : at === 1 ? textOf(value, "stringify") : what;
    } catch {
      if (at === 2) return value;
    }
  }
}

class Writer {
  text = "";
  #most;
  #tooLong;
  #replacer;
  #names;
  #gap;

  /** @param tooLong called when there is more than `most` characters; throws. */
  constructor(most, tooLong, replacer, space) {
    this.#most = most;
    this.#tooLong = tooLong;
    this.#replacer = typeof replacer === "function" ? replacer : null;
    this.#names = isArray(replacer) ? namesIn(replacer) : null;
    this.#gap = gapOf(space);
  }

  /** Adds `holder[key]`. Returns false when JSON has nothing for it. */
  add(holder, key, indent, before) {
    let value = holder[key];
    if (typeof value === "object" && value !== null) {
      const { toJSON } = value;
      if (typeof toJSON === "function") value = apply(toJSON, value, [`${key}`]);
    }
    if (this.#replacer !== null) value = apply(this.#replacer, holder, [`${key}`, value]);
    if (typeof value === "object" && value !== null) value = unboxed(value);
    switch (typeof value) {
      case "string":
        this.#write(before);
        this.#quote(value);
        return true;
      case "number":
        this.#write(before);
        this.#write(isFiniteNumber(value) ? `${value}` : "null");
        return true;
      case "boolean":
        this.#write(before);
        this.#write(value ? "true" : "false");
        return true;
      case "object":
        this.#write(before);
        if (value === null) this.#write("null");
        else if (isArray(value)) this.#array(value, indent);
        else this.#object(value, indent);
        return true;
      default:
        return false;
    }
  }

  #array(list, indent) {
    const { length } = listOf(list, "stringify");
    const inner = indent + this.#gap;
    const line = this.#gap === "" ? "" : `\n${inner}`;
    this.#write("[");
    for (let at = 0; at < length; at++) {
      const before = at === 0 ? line : `,${line}`;
      if (!this.add(list, at, inner, before)) this.#write(`${before}null`);
    }
    if (length > 0 && line !== "") this.#write(`\n${indent}`);
    this.#write("]");
  }

  #object(value, indent) {
    boundProperties(value, "stringify");
    const names = this.#names ?? namesOf(value);
    const inner = indent + this.#gap;
    const line = this.#gap === "" ? "" : `\n${inner}`;
    const colon = this.#gap === "" ? ":" : ": ";
    let isFirst = true;
    this.#write("{");
    for (let at = 0; at < names.length; at++) {
      const name = textOf(names[at], "stringify");
      const before = `${isFirst ? "" : ","}${line}${toJson(name)}${colon}`;
      if (this.add(value, name, inner, before)) isFirst = false;
    }
    if (!isFirst && line !== "") this.#write(`\n${indent}`);
    this.#write("}");
  }

  #quote(value) {
    if (this.text.length + value.length <= this.#most) this.#write(toJson(value));
    else {
      this.text += toJson(beginning(value, this.#most));
      this.#tooLong();
    }
  }

  #write(piece) {
    this.text += piece;
    if (this.text.length > this.#most) this.#tooLong();
  }
}

function namesIn(replacer) {
  const list = listOf(replacer, "stringify");
  const names = new Set();
  for (let at = 0; at < list.length; at++) {
    const value = list[at];
    if (typeof value === "string" || typeof value === "number")
      names.add(textOf(value, "stringify"));
  }
  return [...names];
}

function gapOf(space) {
  if (typeof space === "number") return slice("          ", 0, space < 0 ? 0 : space);
  return typeof space === "string" ? slice(textOf(space, "stringify"), 0, 10) : "";
}

/** As `JSON.stringify`. @param tooLong called when there is more than `most` characters; throws. */
export function jsonOf(value, most, tooLong, replacer, space) {
  const writer = new Writer(most, tooLong, replacer, space);
  return writer.add({ "": value }, "", "", "") ? writer.text : undefined;
}

/** The first characters of a value's JSON, for a line of the log. */
export function startOfJson(value, most) {
  const stop = () => {
    throw enough;
  };
  const writer = new Writer(most, stop, undefined, undefined);
  try {
    writer.add({ "": value }, "", "", "");
  } catch (error) {
    if (error !== enough) throw error;
  }
  return slice(writer.text, 0, most);
}

replace(
  JSON,
  "stringify",
  () =>
    ({
      stringify(value, replacer, space) {
        return jsonOf(value, maxText, () => refuse("stringify", results), replacer, space);
      },
    }).stringify,
);
