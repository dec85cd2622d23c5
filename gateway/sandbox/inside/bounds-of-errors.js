// Runs inside the isolate, before a script does: makes errors in functions at whose beginning V8 looks at the
// clock, which its own do not (`inScript` in bounds.js says why).
import {
  construct,
  defineProperty,
  getOwnPropertyDescriptor,
  getPrototypeOf,
  lock,
  ownKeys,
  PlainError,
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
