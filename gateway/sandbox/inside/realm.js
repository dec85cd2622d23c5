// Runs inside the isolate, before a script does: keeps the built-ins that the rest of this folder relies
// on, so that a script that overwrites them only confuses itself, and takes away what a script has no
// use for. Never imported by the gateway: `blank.ts` joins the files of this folder, takes the import
// and export words away and runs them as one closure, whose outcome is the state that isolates begin with.

/** What the outside gives: bounds, and the headers that are not a script's. */
export const config = JSON.parse($0);

export const uncurry = Function.prototype.bind.bind(Function.prototype.call);
export const apply = Reflect.apply;
export const defineProperty = Object.defineProperty;
export const getOwnPropertyDescriptor = Object.getOwnPropertyDescriptor;
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
// over), Proxy (an array's length must not lie to the checks of bounds.js), WebAssembly,
// SharedArrayBuffer, Atomics, WeakRef and FinalizationRegistry, eval and Function; BigInt and Intl,
// whose arithmetic and tables take long and which rules have no use for.
const allowed =
  ` Object Array Number parseFloat parseInt Infinity NaN undefined Boolean String Symbol
 Date RegExp Error AggregateError EvalError RangeError ReferenceError SyntaxError TypeError URIError
 globalThis JSON Math Map Set WeakMap WeakSet Reflect Iterator ArrayBuffer DataView
 Uint8Array Int8Array Uint16Array Int16Array Uint32Array Int32Array Float32Array Float64Array
 Uint8ClampedArray isFinite isNaN decodeURI decodeURIComponent encodeURI
 encodeURIComponent escape unescape `.replace(/\s+/g, " ");
delete Array.fromAsync;
delete Error.captureStackTrace;

/** Called once in each isolate: V8 puts some globals into a context that comes from a snapshot anew. */
export function lockDown() {
  const names = ownKeys(globalThis);
  for (let at = 0; at < names.length; at++) {
    const name = names[at];
    if (typeof name === "string" && indexOf(allowed, ` ${name} `) === -1) delete globalThis[name];
  }
  // A hook here would run whenever anybody looks at an error's stack, out of reach of the time limit.
  defineProperty(Error, "prepareStackTrace", {
    value: undefined,
    writable: false,
    configurable: false,
  });
  defineProperty(Error, "stackTraceLimit", { value: 10, writable: false, configurable: false });
}

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
