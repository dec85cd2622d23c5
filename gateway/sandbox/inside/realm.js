// Runs inside the isolate, before a script does: keeps the built-ins that the rest of this folder relies
// on, so that a script that overwrites them only confuses itself, and takes away what no script may set.
// Never imported by the gateway: `run/base-snapshot.ts` joins the files of this folder, takes the import and export
// words away and runs them as one closure, whose outcome is the state that isolates begin with.

/** What the outside gives: bounds, and the headers that are not a script's. */
export const config = JSON.parse($0);

export const uncurry = Function.prototype.bind.bind(Function.prototype.call);
export const apply = Reflect.apply;
export const construct = Reflect.construct;
export const defineProperty = Object.defineProperty;
export const deleteProperty = Reflect.deleteProperty;
export const getOwnPropertyDescriptor = Object.getOwnPropertyDescriptor;
export const getPrototypeOf = Object.getPrototypeOf;
export const setPrototypeOf = Object.setPrototypeOf;
export const ownKeys = Reflect.ownKeys;
export const namesOf = Object.keys;
export const freeze = Object.freeze;
export const isArray = Array.isArray;
export const isWhole = Number.isInteger;
export const isFiniteNumber = Number.isFinite;
export const toText = String;
export const fromCharCode = String.fromCharCode;
export const parseJson = JSON.parse;
export const encodeUri = encodeURI;
/** Only for texts and for what the gateway's own code made: it goes through all of a value in one go. */
export const toJson = JSON.stringify;
export const PlainError = Error;
export const PlainTypeError = TypeError;
export const PlainRangeError = RangeError;
export const charCodeAt = uncurry(String.prototype.charCodeAt);
export const indexOf = uncurry(String.prototype.indexOf);
export const slice = uncurry(String.prototype.slice);
export const toLowerCase = uncurry(String.prototype.toLowerCase);
export const startsWith = uncurry(String.prototype.startsWith);
export const sortStrings = uncurry(Array.prototype.sort);
export const exec = uncurry(RegExp.prototype.exec);
export const Words = Int32Array;
export const imul = Math.imul;

const locked = { __proto__: null, writable: false, configurable: false };
/** Nobody can change the property any more. */
export function lock(owner, name, value) {
  defineProperty(owner, name, { ...locked, value });
}

/**
 * A hook here would run whenever anybody looks at an error's stack, out of reach of the time limit. Called
 * in each isolate: V8 makes these anew in a context that comes from a snapshot.
 */
export function lockStacks() {
  lock(PlainError, "prepareStackTrace", undefined);
  lock(PlainError, "stackTraceLimit", 10);
  // Scripts have another one, whose properties mean nothing to V8.
  lock(Error, "prepareStackTrace", undefined);
  lock(Error, "stackTraceLimit", 10);
}

for (const sample of [() => {}, function* () {}, async () => {}, async function* () {}]) {
  const refuse = () => {
    throw new PlainTypeError("code cannot be made from strings in a script");
  };
  lock(getPrototypeOf(sample), "constructor", refuse);
}
