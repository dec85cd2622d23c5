// Runs inside the isolate, before a script does: bounds what the built-ins do with arrays, array-like objects,
// buffers and the properties of objects. bounds.js gives the reasons.
import {
  boundProperties,
  inScript,
  items,
  listOf,
  maxItems,
  maxSteps,
  maxText,
  refuse,
  replace,
  replaceGetter,
  results,
  textOf,
} from "./bounds.js";
import {
  apply,
  construct,
  defineProperty,
  getOwnPropertyDescriptor,
  getPrototypeOf,
  isArray,
  lock,
  ownKeys,
  PlainTypeError,
  setPrototypeOf,
} from "./realm.js";

const short = (value) => isArray(value) && value.length <= maxItems;
const iteratorKey = Symbol.iterator;
const spreadable = Symbol.isConcatSpreadable;

const untouchedOfArrays = [
  "constructor",
  "push",
  "pop",
  "at",
  "values",
  "keys",
  "entries",
  "toString",
];
for (const name of ownKeys(Array.prototype)) {
  if (typeof name === "symbol" || untouchedOfArrays.includes(name)) continue;
  replace(
    Array.prototype,
    name,
    (method, label) =>
      ({
        [label](...values) {
          if (!short(this)) refuse(label, items);
          return apply(method, this, values);
        },
      })[label],
  );
}

// At worst each item differs from the text that is searched for only at its end.
const onListSearch = (method, label) =>
  ({
    [label](...values) {
      const wanted = values[0];
      if (typeof wanted === "string" && wanted.length * this.length > maxSteps) {
        refuse(label, "fewer items or a shorter text to look for");
      }
      return apply(method, this, values);
    },
  })[label];
for (const name of ["includes", "indexOf", "lastIndexOf"])
  replace(Array.prototype, name, onListSearch);

// Without a function to compare by, V8 compares texts without looking at the clock.
function byText(one, other) {
  const first = textOf(one, "sort");
  const second = textOf(other, "sort");
  return first < second ? -1 : first > second ? 1 : 0;
}
const onSort = (method, label) =>
  ({
    [label](compare) {
      return apply(method, this, [compare === undefined ? byText : compare]);
    },
  })[label];
for (const name of ["sort", "toSorted"]) replace(Array.prototype, name, onSort);

// Written out here, so that V8 looks at the clock at each step: the checks above do not see the arrays in an array.
const item = (value) => ({
  __proto__: null,
  value,
  writable: true,
  enumerable: true,
  configurable: true,
});
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
function isSpread(value) {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return false;
  const wanted = value[spreadable];
  return wanted === undefined ? isArray(value) : !!wanted;
}
function addAll(target, end, value) {
  const list = listOf(value, "concat");
  const { length } = list;
  if (end + length > maxItems) refuse("concat", items);
  for (let at = 0; at < length; at++) if (at in list) target[end + at] = list[at];
  return end + length;
}
const ownOfArrays = {
  concat(...values) {
    if (!short(this)) refuse("concat", items);
    const target = [];
    let end = 0;
    for (let at = -1; at < values.length; at++) {
      const value = at === -1 ? this : values[at];
      if (isSpread(value)) end = addAll(target, end, value);
      else target[end++] = value;
    }
    target.length = end;
    return target;
  },
  flat(depth = 1) {
    return flatten(this, depth, []);
  },
  flatMap(map, self) {
    if (!short(this)) refuse("flatMap", items);
    const mapped = [];
    for (let at = 0; at < this.length; at++) {
      if (at in this) defineProperty(mapped, at, item(apply(map, self, [this[at], at, this])));
    }
    return flatten(mapped, 1, []);
  },
  // The array may hold the same array many times, so the length of the outcome is checked at each item.
  join(separator) {
    if (!short(this)) refuse("join", items);
    const between = separator === undefined ? "," : textOf(separator, "join");
    let text = "";
    for (let at = 0; at < this.length; at++) {
      const value = this[at];
      const piece = value === undefined || value === null ? "" : textOf(value, "join");
      text = at === 0 ? piece : text + between + piece;
      if (text.length > maxText) refuse("join", results);
    }
    return text;
  },
};
for (const name of ownKeys(ownOfArrays)) {
  replace(Array.prototype, name, () => ownOfArrays[name]);
}
replace(
  Array,
  "from",
  (method, label) =>
    ({
      [label](values, map, self) {
        const iterate = values[iteratorKey];
        let list = [];
        if (iterate === undefined || iterate === null) list = listOf(values, label);
        else {
          const once = { __proto__: null, [iteratorKey]: () => apply(iterate, values, []) };
          let length = 0;
          for (const value of once) {
            if (length === maxItems) refuse(label, items);
            list[length++] = value;
          }
        }
        return apply(method, this, map === undefined ? [list] : [list, map, self]);
      },
    })[label],
);

const arrayFrom = Array.from;

// The constructor does not look at the clock when it begins either (see `inScript`).
const PlainArray = Array;
const BoundedArray = {
  Array: function (...values) {
    return construct(PlainArray, values, new.target ?? BoundedArray);
  },
}.Array;
for (const key of ownKeys(PlainArray)) {
  defineProperty(BoundedArray, key, getOwnPropertyDescriptor(PlainArray, key));
}
defineProperty(BoundedArray, "length", { value: PlainArray.length });
// `undefined` lets `map` and its like make plain arrays by themselves.
defineProperty(BoundedArray, Symbol.species, {
  get() {
    return this === BoundedArray ? undefined : this;
  },
});
lock(PlainArray.prototype, "constructor", BoundedArray);
globalThis.Array = BoundedArray;

/** For functions that take a list of values as argument number `at`. */
const onList = (at) => (method, label) =>
  ({
    [label](...values) {
      values[at] = listOf(values[at], label);
      return apply(method, this, values);
    },
  })[label];
replace(Reflect, "apply", onList(2));
replace(Reflect, "construct", onList(1));
replace(
  getPrototypeOf(() => {}),
  "apply",
  (method, label) =>
    ({
      [label](self, values) {
        return apply(method, this, [self, listOf(values, label)]);
      },
    })[label],
);

// A bound on the size of a buffer bounds everything that goes through it. `for...in` and `{...}` list a property
// for each of its items.
const bytes = "at most 100,000 bytes";
function take(native, make) {
  const { name } = native;
  const Bounded = {
    [name]: function (...values) {
      if (new.target === undefined) throw new PlainTypeError(`${name}: only with new`);
      return make(values, new.target);
    },
  }[name];
  for (const key of ownKeys(native)) {
    defineProperty(Bounded, key, getOwnPropertyDescriptor(native, key));
  }
  setPrototypeOf(Bounded, getPrototypeOf(native));
  lock(native.prototype, "constructor", Bounded);
  defineProperty(globalThis, name, { value: Bounded, writable: true, configurable: true });
}
const PlainBuffer = ArrayBuffer;
take(PlainBuffer, ([length], target) => {
  const wanted = +length;
  if (wanted > maxItems) refuse("ArrayBuffer", bytes);
  return construct(PlainBuffer, [wanted], target);
});
const typedArray = getPrototypeOf(Uint8Array);
const bufferLength = getOwnPropertyDescriptor(PlainBuffer.prototype, "byteLength").get;
function isBuffer(value) {
  try {
    return apply(bufferLength, value, []) >= 0;
  } catch {
    return false;
  }
}
for (const name of ownKeys(globalThis)) {
  const Plain = globalThis[name];
  if (typeof Plain !== "function" || getPrototypeOf(Plain) !== typedArray) continue;
  const size = Plain.BYTES_PER_ELEMENT;
  take(Plain, ([first, second, third], target) => {
    if (typeof first !== "object" || first === null) {
      const length = +first;
      if (length * size > maxItems) refuse(name, bytes);
      return construct(Plain, [length], target);
    }
    if (!isArray(first) && isBuffer(first)) {
      return construct(Plain, [first, second, third], target);
    }
    const list = isArray(first) ? listOf(first, name) : arrayFrom(first);
    if (list.length * size > maxItems) refuse(name, bytes);
    const made = construct(Plain, [list.length], target);
    for (let at = 0; at < made.length; at++) made[at] = list[at];
    return made;
  });
}
const lengthOf = getOwnPropertyDescriptor(typedArray.prototype, "length").get;
replace(
  typedArray.prototype,
  "join",
  (method, label) =>
    ({
      [label](separator) {
        const between = separator === undefined ? "," : textOf(separator, label);
        if (apply(lengthOf, this, []) * (between.length + 1) > maxText) refuse(label, results);
        return apply(method, this, [between]);
      },
    })[label],
);

for (const name of "copyWithin fill includes indexOf lastIndexOf reverse".split(" ")) {
  replace(typedArray.prototype, name, inScript);
}
replace(PlainBuffer.prototype, "slice", inScript);
replaceGetter(typedArray.prototype, "buffer");
replaceGetter(Object.prototype, "__proto__");
for (const name of ["__lookupGetter__", "__lookupSetter__"]) {
  replace(Object.prototype, name, inScript);
}

const onProperties = (method, label) =>
  ({
    [label](...values) {
      for (let at = 0; at < values.length; at++) boundProperties(values[at], label);
      return apply(method, this, values);
    },
  })[label];
for (const name of [
  ..."assign keys values entries freeze seal isFrozen isSealed preventExtensions".split(" "),
  ..."getOwnPropertyNames getOwnPropertyDescriptors getOwnPropertySymbols".split(" "),
  ..."defineProperties create".split(" "),
]) {
  replace(Object, name, onProperties);
}
replace(Reflect, "ownKeys", onProperties);
replace(Reflect, "preventExtensions", onProperties);

// Setting the length of an array makes room for so many items at once.
function boundLength(target, key, value) {
  if (isArray(target) && key === "length" && +value > maxItems) refuse("length", items);
}
/** Copies the descriptor of a length, so that its value is read only once. */
function ownDescriptor(target, key, descriptor) {
  if (!isArray(target) || key !== "length") return descriptor;
  const copy = { __proto__: null, ...descriptor };
  boundLength(target, key, copy.value);
  return copy;
}
const keyOf = (key) => (typeof key === "symbol" ? key : `${key}`);
const onDefinition = (method, label) =>
  ({
    [label](target, key, descriptor) {
      const name = keyOf(key);
      return apply(method, this, [target, name, ownDescriptor(target, name, descriptor)]);
    },
  })[label];
replace(Object, "defineProperty", onDefinition);
replace(Reflect, "defineProperty", onDefinition);
replace(
  Object,
  "defineProperties",
  (method, label) =>
    ({
      [label](target, descriptors) {
        if (!isArray(target)) return apply(method, this, [target, descriptors]);
        const names = ownKeys(descriptors);
        for (let at = 0; at < names.length; at++) {
          const found = getOwnPropertyDescriptor(descriptors, names[at]);
          if (!found?.enumerable) continue;
          const descriptor = descriptors[names[at]];
          defineProperty(target, names[at], ownDescriptor(target, names[at], descriptor));
        }
        return target;
      },
    })[label],
);
replace(
  Reflect,
  "set",
  (method, label) =>
    ({
      [label](target, key, value, ...receiver) {
        const name = keyOf(key);
        boundLength(target, name, value);
        boundLength(receiver[0], name, value);
        return apply(method, this, [target, name, value, ...receiver]);
      },
    })[label],
);
replace(
  Object,
  "assign",
  (method, label) =>
    ({
      [label](target, ...sources) {
        if (!isArray(target)) return apply(method, this, [target, ...sources]);
        for (let each = 0; each < sources.length; each++) {
          const source = sources[each];
          if (source === undefined || source === null) continue;
          const names = ownKeys(typeof source === "string" ? { ...source } : source);
          for (let at = 0; at < names.length; at++) {
            if (!getOwnPropertyDescriptor(source, names[at])?.enumerable) continue;
            const value = source[names[at]];
            boundLength(target, names[at], value);
            target[names[at]] = value;
          }
        }
        return target;
      },
    })[label],
);
