/**
 * The normal form of a path, by which everything decides: routes, rules, scripts and, by default, what is forwarded.
 * RFC 3986 section 6.2.2: unreserved characters are not escaped, other escapes are in upper case, and dot segments
 * are resolved. Repeated slashes become one, as with nginx's `merge_slashes`.
 */
import { type Refusal, refuse } from "./grammar.ts";

const slash = 0x2f;

/** A path without a match is in normal form and has no escape and no backslash; one look saves the other checks. */
const suspicious = /[%\\]|\/[/.]/;
const unevenSegments = /\/(?:\/|\.\.?(?:\/|$))/;
/** A malformed escape, and NUL, which ends a string in some languages. */
const badEscape = /%(?:00|(?![0-9A-Fa-f]{2}))/;
/**
 * In a path in normal form: escapes of printable characters that neither end a path or segment nor begin an escape.
 */
const reservedEscape = /%(?:2[1246789A-C]|3[A-E]|40|5[BDE]|60|7[BCD])/g;
/** Applies to a path in normal form. */
const encodedSlash = /\\|%2F|%5C/;

/** The normal form of each escape, by its octet. */
const escapes: readonly string[] = Array.from({ length: 256 }, (_, octet) => {
  const character = String.fromCharCode(octet);
  const escaped = `%${octet.toString(16).toUpperCase().padStart(2, "0")}`;
  return /[A-Za-z0-9._~-]/.test(character) ? character : escaped;
});

/** False means that `path` is in normal form and has neither an escape nor a backslash. */
export function isSuspicious(path: string): boolean {
  return suspicious.test(path);
}

/** Whether something in `path` cannot be decoded (`%`, `%4`, `%zz`), or is the NUL `%00`. */
export function hasBadEscape(path: string): boolean {
  return path.includes("%") && badEscape.test(path);
}

/** Why a target is refused whose path cannot be decoded. The query is left to the origin. */
export function checkEscapes(target: string): Refusal | null {
  const question = target.indexOf("?");
  if (!hasBadEscape(question === -1 ? target : target.slice(0, question))) return null;
  return refuse("bad_path", "the path has a malformed percent-escape, or %00");
}

/**
 * Whether a path in normal form has something that only some readers take for a slash: `%2F`, `%5C` or a backslash.
 * It is uncertain what such a path asks for.
 */
export function hasEncodedSlash(path: string): boolean {
  return encodedSlash.test(path);
}

/**
 * Brings `path`, which has no bad escape, into normal form; returns the same string when it already is. `*` stays.
 */
export function normalisePath(path: string): string {
  if (!suspicious.test(path)) return path;
  const plain = path.includes("%") ? normaliseEscapes(path) : path;
  return unevenSegments.test(plain) ? resolveSegments(plain) : plain;
}

function normaliseEscapes(path: string): string {
  let out = "";
  let from = 0;
  for (let at = path.indexOf("%"); at !== -1; at = path.indexOf("%", from)) {
    const octet = digit(path.charCodeAt(at + 1)) * 16 + digit(path.charCodeAt(at + 2));
    out += path.slice(from, at) + escapes[octet];
    from = at + 3;
  }
  return out + path.slice(from);
}

/** The value of a hexadecimal digit. */
function digit(code: number): number {
  return code <= 0x39 ? code - 0x30 : (code | 0x20) - 0x57;
}

/** RFC 3986 section 5.2.4, except that empty segments are dropped. */
function resolveSegments(path: string): string {
  const kept: string[] = [];
  let isFolder = false;
  for (const segment of path.split("/")) {
    isFolder = segment === "" || segment === "." || segment === "..";
    if (segment === "..") kept.pop();
    else if (!isFolder) kept.push(segment);
  }
  if (kept.length === 0) return "/";
  return `/${kept.join("/")}${isFolder ? "/" : ""}`;
}

/**
 * A path in normal form, ready to be compared with prefixes: `@`, `:`, `{` and the like are unescaped, since origins
 * take `/%40admin` for `/@admin`. Returns the same string when it has no escape.
 */
export function comparablePath(path: string): string {
  return path.includes("%") ? path.replace(reservedEscape, unescaped) : path;
}

function unescaped(triplet: string): string {
  return String.fromCharCode(Number.parseInt(triplet.slice(1), 16));
}

/** A prefix of whole segments in the form that `hasPrefix` takes: comparable, and without a slash at its end. */
export function normalisePrefix(prefix: string): string {
  const path = comparablePath(normalisePath(prefix));
  return path.endsWith("/") ? path.slice(0, -1) : path;
}

/**
 * Whether `prefix` covers `path` by whole segments. `prefix` has no trailing slash, and an empty one covers all;
 * `path` is comparable.
 */
export function hasPrefix(path: string, prefix: string): boolean {
  if (!path.startsWith(prefix)) return false;
  return (
    prefix.length === 0 || path.length === prefix.length || path.charCodeAt(prefix.length) === slash
  );
}
