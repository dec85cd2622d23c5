/** A setting, `settings/<name>`: any JSON, which scripts read as `settings.<name>`. */
import * as z from "zod";
import type { Json } from "../model/index.ts";
import { parseJson } from "./document.ts";
import { DocumentError } from "./document-error.ts";

/** Deeper nesting is refused, because code that walks or copies a value does so by recursion. */
const maxDepth = 64;

/** Any JSON; the published JSON Schema is made from it. */
export const settingSchema = z.json().describe("Any JSON that scripts read as settings.<name>.");

/** Reads the text of `settings/<name>`; `key` is the whole key. Throws a `DocumentError`. */
export function parseSetting(key: string, text: string): Json {
  const value = parseJson(key, text);
  checkDepth(key, value);
  // `JSON.parse` returns nothing but JSON, so a second walk over half a megabyte would find nothing.
  return value as Json;
}

function checkDepth(key: string, root: unknown): void {
  // Goes level by level, without recursion, and looks only at lists and objects.
  let level = [root].filter(isNested);
  for (let depth = 1; level.length > 0; depth += 1) {
    if (depth > maxDepth)
      throw new DocumentError("bad_document", key, `is nested more than ${maxDepth} deep`);
    level = level.flatMap((value) => Object.values(value).filter(isNested));
  }
}

function isNested(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
