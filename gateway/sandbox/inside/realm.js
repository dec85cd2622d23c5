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
/** Only for texts and for values that the gateway's own code made: V8 goes through all of a value in one go. */
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
/** Sets a property for good: no script can change it. */
export function lock(owner, name, value) {
  defineProperty(owner, name, { ...locked, value });
}

const maxMessage = 8_192;
const maxFrame = 400;

/** V8 copies all of a text that `+` made before it takes the first characters. */
function startOf(text, most) {
  return text.length > 1_048_576 ? "a text of more than 1 MiB" : slice(text, 0, most);
}

/** A property of an error, own or inherited, that can be read without running a getter. */
function dataOf(error, name) {
  for (let at = error; at !== null; at = getPrototypeOf(at)) {
    const value = getOwnPropertyDescriptor(at, name)?.value;
    if (value !== undefined) return typeof value === "string" ? value : "";
  }
  return "";
}

/**
 * The text of a stack as V8 writes it, with long names cut short: a function, a class or an object may have a name of
 * any length, and V8 joins ten of them.
 */
function stackOf(error, frames) {
  const name = startOf(dataOf(error, "name"), maxFrame);
  const message = startOf(dataOf(error, "message"), maxMessage);
  let text = name === "" || message === "" ? name + message : `${name}: ${message}`;
  for (let at = 0; at < frames.length; at++) {
    const frame = toText(frames[at]);
    const { length } = frame;
    const shown =
      length <= maxFrame ? frame : `${slice(frame, 0, 100)}...${slice(frame, length - 300)}`;
    text += `\n    at ${shown}`;
  }
  return text;
}

/**
 * A script's own hook would run whenever somebody reads an error's stack, even where no time limit holds.
 * Called in each isolate, since V8 makes these properties anew in a context that comes from a snapshot.
 */
export function lockStacks() {
  lock(PlainError, "prepareStackTrace", stackOf);
  lock(PlainError, "stackTraceLimit", 10);
  // Scripts get another constructor, whose properties mean nothing to V8.
  lock(Error, "prepareStackTrace", undefined);
  lock(Error, "stackTraceLimit", 10);
}

for (const sample of [() => {}, function* () {}, async () => {}, async function* () {}]) {
  const refuse = () => {
    throw new PlainTypeError("code cannot be made from strings in a script");
  };
  lock(getPrototypeOf(sample), "constructor", refuse);
}
