/** The code that every isolate runs before its script: the files of `inside/` as one closure. */
import { readFileSync } from "node:fs";
import { outputLimits, vouchedHeaders, vouchedPrefix } from "./limits.ts";

const files = [
  "realm.js",
  "bounds.js",
  "digests.js",
  "crypto.js",
  "headers.js",
  "request.js",
  "entry.js",
];

/** For `evalClosure` with `insideConfig` as its one argument. One closure costs less than four modules. */
export const insideSource = [
  '"use strict";',
  ...files.map((file) =>
    readFileSync(new URL(`./inside/${file}`, import.meta.url), "utf8")
      .replace(/^import [^;]*;$/gm, "")
      .replace(/^export /gm, ""),
  ),
  "return entry;",
].join("\n");

export const insideConfig = JSON.stringify({
  ...outputLimits,
  vouched: vouchedHeaders,
  vouchedPrefix,
});
