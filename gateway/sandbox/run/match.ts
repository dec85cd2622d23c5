/** A script's `export const match`: which requests it wants. Decided without entering the isolate. */
import type { Exchange } from "../../engine/engine.ts";
import { isPath } from "../../engine/message/grammar.ts";
import { comparablePath, hasPrefix, normalisePrefix } from "../../engine/message/path.ts";

export interface Match {
  /** Upper case, and stand for any case; `null`: every method. */
  readonly methods: ReadonlySet<string> | null;
  /**
   * Prefixes of whole segments in normal form: `/api` takes `/api` and `/api/x`, not `/apix`. `null`: every
   * path.
   */
  readonly paths: readonly string[] | null;
}

export const matchEverything: Match = { methods: null, paths: null };

const method = /^[A-Z][A-Z-]{0,31}$/;
const maxItems = 1_000;

/**
 * Validates what came out of the isolate.
 * @param value `match` as data; `null` for a script without one.
 * @throws TypeError that names the field.
 */
export function parseMatch(value: unknown): Match {
  if (value === null) return matchEverything;
  if (typeof value !== "object" || Array.isArray(value)) {
    throw new TypeError("match must be an object: { methods: [...], paths: [...] }");
  }
  const { methods, paths, ...others } = value as Record<string, unknown>;
  const unknown = Object.keys(others)[0];
  if (unknown !== undefined) throw new TypeError(`match.${unknown} is not known`);
  const wanted = textList("methods", methods, (text) => method.test(text), 'like "GET"');
  const prefixes = textList("paths", paths, isPath, "starting with /, without ?, # or bad escapes");
  return {
    methods: wanted === null ? null : new Set(wanted),
    paths: prefixes?.map(normalisePrefix) ?? null,
  };
}

/** Whether it takes some paths and leaves others. */
export function decidesByPath({ paths }: Match): boolean {
  return paths?.every((prefix) => prefix !== "") ?? false;
}

export function matchesExchange(
  match: Match,
  exchange: Pick<Exchange<unknown>, "method" | "path">,
): boolean {
  // Methods have a case, but PHP's and Python's frameworks take `delete` for DELETE.
  const { methods } = match;
  const { method: asked } = exchange;
  if (methods !== null && !methods.has(asked) && !methods.has(asked.toUpperCase())) return false;
  if (match.paths === null) return true;
  const path = comparablePath(exchange.path);
  for (const prefix of match.paths) if (hasPrefix(path, prefix)) return true;
  return false;
}

function textList(
  field: string,
  value: unknown,
  isGood: (text: string) => boolean,
  expected: string,
): readonly string[] | null {
  if (value === undefined) return null;
  const isList = Array.isArray(value) && value.length > 0 && value.length <= maxItems;
  if (!isList || !value.every((item) => typeof item === "string" && isGood(item))) {
    throw new TypeError(`match.${field} must be a list of strings ${expected}`);
  }
  return value;
}
