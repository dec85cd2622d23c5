// Runs inside the isolate, before a script does: makes errors in functions at whose beginning V8 looks at the
// clock, which its own do not (`inScript` in bounds.js says why).
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
    // V8 asks its own for it; `lockStacks` gives scripts one that means nothing.
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

/** Called once in each isolate: what V8 puts into a context that comes from a snapshot. */
export function takeNewOfErrors() {
  const descriptor = getOwnPropertyDescriptor(PlainError, "isError");
  if (descriptor !== undefined) defineProperty(Error, "isError", descriptor);
}

// What it puts together it would make twice as long, again and again.
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
