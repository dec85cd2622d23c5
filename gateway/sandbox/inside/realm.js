// Runs inside the isolate, before a script does: takes away what a script has no use for and keeps
// the built-ins that the rest of this folder relies on, so that a script that overwrites them only
// confuses itself. Never imported by the gateway: `inside-source.ts` joins the files of
// this folder, takes the import and export words away and runs them as one closure.

/** What the outside gives: bounds, and the headers that are not a script's. */
export const config = JSON.parse($0);

export const uncurry = Function.prototype.bind.bind(Function.prototype.call);
export const apply = Reflect.apply;
export const defineProperty = Object.defineProperty;
const getOwnPropertyDescriptor = Object.getOwnPropertyDescriptor;
export const getPrototypeOf = Object.getPrototypeOf;
export const ownKeys = Reflect.ownKeys;
export const freeze = Object.freeze;
export const isArray = Array.isArray;
export const isWhole = Number.isInteger;
export const toText = String;
export const fromCharCode = String.fromCharCode;
export const parseJson = JSON.parse;
export const toJson = JSON.stringify;
export const PlainTypeError = TypeError;
export const PlainRangeError = RangeError;
export const charCodeAt = uncurry(String.prototype.charCodeAt);
export const indexOf = uncurry(String.prototype.indexOf);
export const slice = uncurry(String.prototype.slice);
export const toLowerCase = uncurry(String.prototype.toLowerCase);
export const startsWith = uncurry(String.prototype.startsWith);
export const sortStrings = uncurry(Array.prototype.sort);
export const Words = Int32Array;
export const imul = Math.imul;

// An allow-list, so that what a later V8 adds is absent until somebody has looked at it. Left out on
// purpose: Promise and everything asynchronous (a rejection is inspected after the time limit is
// over), Proxy (an array's length must not lie to the checks below), WebAssembly, SharedArrayBuffer,
// Atomics, WeakRef and FinalizationRegistry, eval and Function.
const allowed =
  ` Object Array Number parseFloat parseInt Infinity NaN undefined Boolean String Symbol
 Date RegExp Error AggregateError EvalError RangeError ReferenceError SyntaxError TypeError URIError
 globalThis JSON Math Intl Map Set WeakMap WeakSet BigInt Reflect Iterator ArrayBuffer DataView
 Uint8Array Int8Array Uint16Array Int16Array Uint32Array Int32Array Float32Array Float64Array
 Uint8ClampedArray BigInt64Array BigUint64Array isFinite isNaN decodeURI decodeURIComponent encodeURI
 encodeURIComponent escape unescape `.replace(/\s+/g, " ");
for (const name of ownKeys(globalThis)) {
  if (typeof name === "string" && !allowed.includes(` ${name} `)) delete globalThis[name];
}
delete Array.fromAsync;
delete Error.captureStackTrace;
// A hook here would run whenever anybody looks at an error's stack, out of reach of the time limit.
defineProperty(Error, "prepareStackTrace", {
  value: undefined,
  writable: false,
  configurable: false,
});
defineProperty(Error, "stackTraceLimit", { value: 10, writable: false, configurable: false });

for (const sample of [() => {}, function* () {}, async () => {}, async function* () {}]) {
  const refuse = () => {
    throw new PlainTypeError("code cannot be made from strings in a script");
  };
  defineProperty(getPrototypeOf(sample), "constructor", {
    value: refuse,
    writable: false,
    configurable: false,
  });
}

// These loop inside V8 without ever looking at the clock, so the time limit cannot end them: an array
// of four thousand million holes is made in no time and searched for minutes.
const maxArrayLength = 1_000_000;
const maxTextLength = 4_194_304;
const short = (array) => isArray(array) && array.length <= maxArrayLength;
for (const name of ownKeys(Array.prototype)) {
  const descriptor = getOwnPropertyDescriptor(Array.prototype, name);
  const method = descriptor.value;
  if (typeof method !== "function" || name === "constructor" || typeof name === "symbol") continue;
  if (["push", "pop", "at", "values", "keys", "entries", "toString"].includes(name)) continue;
  const checked = {
    [name](...values) {
      if (!short(this)) throw new PlainRangeError(`${name}: only for arrays of at most 1,000,000`);
      for (let at = 0; at < values.length; at++) {
        if (isArray(values[at]) && !short(values[at])) {
          throw new PlainRangeError(`${name}: only for arrays of at most 1,000,000`);
        }
      }
      return apply(method, this, values);
    },
  }[name];
  defineProperty(Array.prototype, name, { ...descriptor, value: checked });
}
{
  const from = Array.from;
  defineProperty(Array, "from", {
    ...getOwnPropertyDescriptor(Array, "from"),
    value: (source, map, self) => {
      if (source !== null && typeof source === "object" && source.length > maxArrayLength) {
        throw new PlainRangeError("Array.from: only for at most 1,000,000 items");
      }
      return apply(from, Array, [source, map, self]);
    },
  });
  const repeat = String.prototype.repeat;
  defineProperty(String.prototype, "repeat", {
    ...getOwnPropertyDescriptor(String.prototype, "repeat"),
    value: function (count) {
      const times = +count;
      const text = toText(this);
      if (text.length * times > maxTextLength) {
        throw new PlainRangeError("repeat: only for results of at most 4 MiB");
      }
      return apply(repeat, text, [times]);
    },
  });
  for (const name of ["split", "replace", "replaceAll", "normalize"]) {
    const method = String.prototype[name];
    defineProperty(String.prototype, name, {
      ...getOwnPropertyDescriptor(String.prototype, name),
      value: function (first, second) {
        if (typeof this === "string" && this.length > maxTextLength) {
          throw new PlainRangeError(`${name}: only for strings of at most 4 MiB`);
        }
        return apply(method, this, second === undefined ? [first] : [first, second]);
      },
    });
  }
  for (const name of ["padStart", "padEnd"]) {
    const pad = String.prototype[name];
    defineProperty(String.prototype, name, {
      ...getOwnPropertyDescriptor(String.prototype, name),
      value: function (length, fill) {
        const target = +length;
        if (target > maxTextLength) {
          throw new PlainRangeError(`${name}: only for results of at most 4 MiB`);
        }
        return apply(pad, this, [target, fill]);
      },
    });
  }
}
