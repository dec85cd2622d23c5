/**
 * What every isolate begins with: a snapshot of V8's heap in which the code of `inside/` has run already.
 * Running it in each isolate would take longer than everything else in making one.
 */
import { readFileSync } from "node:fs";
import ivm from "isolated-vm";
import { outputLimits, vouchedHeaders, vouchedPrefix } from "../limits.ts";

/** For `snapshot` of an isolate. Made by this process only: it has machine code in it. */
export type BaseSnapshot = ivm.ExternalCopy<ArrayBuffer>;

const files = [
  "realm.js",
  "allowed-names.js",
  "allowed.js",
  "bounds.js",
  "bounds-of-errors.js",
  "bounds-of-lists.js",
  "bounds-of-patterns.js",
  "bounds-of-texts.js",
  "growth.js",
  "json.js",
  "digests.js",
  "crypto.js",
  "headers.js",
  "request.js",
  "entry.js",
];
const config = JSON.stringify({ ...outputLimits, vouched: vouchedHeaders, vouchedPrefix });

/** Takes some ten milliseconds, once for any number of isolates. */
export function createBaseSnapshot(): BaseSnapshot {
  return ivm.Isolate.createSnapshot([{ code: insideCode(), filename: "sluice:inside" }]);
}

/** The files of `inside/` as one script. One closure costs less than as many modules. */
export function insideCode(): string {
  const closure = [
    '"use strict";',
    ...files.map((file) =>
      readFileSync(new URL(`../inside/${file}`, import.meta.url), "utf8")
        .replace(/^import [^;]*;$/gm, "")
        .replace(/^export /gm, ""),
    ),
    "return entry;",
  ].join("\n");
  return `globalThis.entry = (function ($0) {${closure}\n})(${JSON.stringify(config)});`;
}

/** For `evalClosure`, before anything else runs in a context: takes the functions of `inside/entry.js`. */
export const takeEntry = `
  const { entry } = globalThis;
  delete globalThis.entry;
  entry.begin();
  return entry;`;
