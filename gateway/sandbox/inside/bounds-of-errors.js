// Runs inside the isolate, before a script does: replaces V8's constructors of errors with functions, since V8 looks
// at the clock when a function begins but not when its own constructors do (`inScript` in bounds.js says why).
import { replace, textOf } from "./bounds.js";
import {
  construct,
  defineProperty,
  getOwnPropertyDescriptor,
  getPrototypeOf,
  lock,
  ownKeys,
  PlainError,
  PlainTypeError,
  setPrototypeOf,
} from "./realm.js";

function beginInScript(Plain) {
  const { name } = Plain;
  const Bounded = {
    [name]: function (...values) {
      return construct(Plain, values, new.target ?? Bounded);
    },
  }[name];
  for (const key of ownKeys(Plain)) {
    // V8 reads it from its own constructor; `lockStacks` gives scripts one without effect.
    if (key === "stackTraceLimit") continue;
    defineProperty(Bounded, key, getOwnPropertyDescriptor(Plain, key));
  }
  if (getPrototypeOf(Plain) === PlainError) setPrototypeOf(Bounded, Error);
  lock(Plain.prototype, "constructor", Bounded);
  defineProperty(globalThis, name, { value: Bounded, writable: true, configurable: true });
}
beginInScript(PlainError);
for (const name of ownKeys(globalThis)) {
  const Plain = globalThis[name];
  if (typeof Plain === "function" && getPrototypeOf(Plain) === PlainError) beginInScript(Plain);
}

/** Called once in each isolate, since V8 adds `isError` to a context that comes from a snapshot. */
export function takeNewOfErrors() {
  const descriptor = getOwnPropertyDescriptor(PlainError, "isError");
  if (descriptor !== undefined) defineProperty(Error, "isError", descriptor);
}

// Without a bound, a script could call it on its own outcome again and again, and double the text each time.
replace(
  PlainError.prototype,
  "toString",
  () =>
    ({
      toString() {
        if ((typeof this !== "object" && typeof this !== "function") || this === null) {
          throw new PlainTypeError("Error.prototype.toString: only for objects");
        }
        const { name: kind, message: said } = this;
        const name = kind === undefined ? "Error" : textOf(kind, "toString");
        const message = said === undefined ? "" : textOf(said, "toString");
        const text = name === "" || message === "" ? name + message : `${name}: ${message}`;
        return textOf(text, "toString");
      },
    }).toString,
);
