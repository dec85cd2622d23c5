// Runs inside the isolate: the functions that `examine/growth.ts` puts into a script's own text, where syntax alone
// could make a text of any length or go through a text in one go. V8 looks at the clock when one of them begins.
// What V8 does by itself with a text of 1 MiB takes some milliseconds at most.
import {
  boundProperties,
  isObject,
  items,
  maxItems,
  maxText,
  primitive,
  refuse,
  results,
} from "./bounds.js";
import { isArray } from "./realm.js";

const maxShort = 256;
const none = Symbol("none");

function length(array, value) {
  if (isArray(array) && +value > maxItems) refuse("length", items);
}

export const checks = {
  __proto__: null,
  /** What an addition or a template made. */
  text(value) {
    if (typeof value === "string" && value.length > maxText) refuse("+", results);
    return value;
  },
  /** What `+=` adds to `old`. The sum is measured before the script can keep it anywhere. */
  add(old, value) {
    const added = isObject(value) ? primitive(value) : value;
    if (typeof added === "string") {
      if (added.length + (typeof old === "string" ? old.length : 0) > maxText) refuse("+", results);
    } else if (typeof old === "string" && old.length > maxText) refuse("+", results);
    return added;
  },
  /** What `+=` adds where the old value cannot be read before. */
  short(value) {
    const added = isObject(value) ? primitive(value) : value;
    if (typeof added === "string" && added.length > maxShort) {
      refuse("+=", "texts of at most 256 characters here: write a = a + b");
    }
    return added;
  },
  /** A value that is spread, or whose properties are listed. */
  list(value) {
    boundProperties(value, "...");
    return value;
  },
  /** The arguments of a function that takes the rest of an object's properties. Returns a key that no object has. */
  values(given) {
    for (let at = 0; at < given.length; at++) boundProperties(given[at], "...");
    return none;
  },
  /** The key of a property that a script sets. An array's length has its own check. */
  key(object, value) {
    if (typeof value === "number" || typeof value === "symbol") return value;
    const key = typeof value === "string" ? value : `${value}`;
    if (key === "length" && isArray(object)) refuse("length", "array.length = ...");
    return key;
  },
  size(array, value) {
    const size = isArray(array) && isObject(value) ? primitive(value) : value;
    length(array, size);
    return size;
  },
  pause: (value) => value,
};
