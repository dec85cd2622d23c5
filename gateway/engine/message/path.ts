/**
 * The one form of a path that everything decides by: match, rules, scripts and, unless told otherwise,
 * what goes on. RFC 3986 section 6.2.2: unreserved characters stand for themselves, other escapes are in
 * upper case, dot segments are resolved; and repeated slashes are one, as nginx's `merge_slashes` has it.
 */
import { type Refusal, refuse } from "./grammar.ts";

const slash = 0x2f;

/** What a path in normal form is free of, but for escapes and backslashes: one look spares the rest. */
const suspicious = /[%\\]|\/[/.]/;
const unevenSegments = /\/(?:\/|\.\.?(?:\/|$))/;
/** An escape that is none, and one that ends a string elsewhere. */
const badEscape = /%(?:00|(?![0-9A-Fa-f]{2}))/;
/** Of a path in normal form: what is printable, and neither ends a path or segment nor is an escape's own sign. */
const reservedEscape = /%(?:2[1246789A-C]|3[A-E]|40|5[BDE]|60|7[BCD])/g;
/** Of a path in normal form. */
const encodedSlash = /\\|%2F|%5C/;

/** What each escape is in normal form, by its octet. */
const escapes: readonly string[] = Array.from({ length: 256 }, (_, octet) => {
  const character = String.fromCharCode(octet);
  const escaped = `%${octet.toString(16).toUpperCase().padStart(2, "0")}`;
  return /[A-Za-z0-9._~-]/.test(character) ? character : escaped;
});

/** False: `path` is in normal form, and has neither an escape nor a backslash. */
export function isSuspicious(path: string): boolean {
  return suspicious.test(path);
}

/** Whether something in `path` cannot be decoded (`%`, `%4`, `%zz`), or is the NUL `%00`. */
export function hasBadEscape(path: string): boolean {
  return path.includes("%") && badEscape.test(path);
}

/** Why a target is refused whose path cannot be decoded. The query is the origin's to read. */
export function checkEscapes(target: string): Refusal | null {
  const question = target.indexOf("?");
  if (!hasBadEscape(question === -1 ? target : target.slice(0, question))) return null;
  return refuse("bad_path", "the path has a malformed percent-escape, or %00");
}

/**
 * Whether a path in normal form has what some readers take for a slash and others do not: `%2F`, `%5C` or
 * a backslash. What such a path asks for is not certain.
 */
export function hasEncodedSlash(path: string): boolean {
  return encodedSlash.test(path);
}

/** `path`, which has no bad escape, in normal form: the same string when it is. `*` stays. */
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

/** Of a hexadecimal digit. */
function digit(code: number): number {
  return code <= 0x39 ? code - 0x30 : (code | 0x20) - 0x57;
}

/** RFC 3986 section 5.2.4, where an empty segment is none. */
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
 * A path in normal form as prefixes are compared with it: `@`, `:`, `{` and the like stand for themselves whether
 * they were escaped or not, since origins take `/%40admin` for `/@admin`. The same string when it has no escape.
 */
export function comparablePath(path: string): string {
  return path.includes("%") ? path.replace(reservedEscape, unescaped) : path;
}

function unescaped(triplet: string): string {
  return String.fromCharCode(Number.parseInt(triplet.slice(1), 16));
}

/** A prefix of whole segments as `hasPrefix` takes it: as `comparablePath` has it, without a slash at its end. */
export function normalisePrefix(prefix: string): string {
  const path = comparablePath(normalisePath(prefix));
  return path.endsWith("/") ? path.slice(0, -1) : path;
}

/** Whether `prefix` (no trailing slash; empty for all) covers `path`, which is comparable, by whole segments. */
export function hasPrefix(path: string, prefix: string): boolean {
  if (!path.startsWith(prefix)) return false;
  return (
    prefix.length === 0 || path.length === prefix.length || path.charCodeAt(prefix.length) === slash
  );
}
