/** Which paths a document may name. */
import { hasBadEscape, hasEncodedSlash, normalisePath } from "../engine/message/path.ts";

/** Says why no request's path can start with the prefix `path`; `null` when some can. */
export function findPathProblem(path: string, passesEncodedSlashes: boolean): string | null {
  if (!path.startsWith("/")) return "does not start with /";
  if (/[?#]/.test(path)) return "has a ? or #; a prefix is a path alone";
  // A request's path is printable ASCII (RFC 9112 section 3.2): anything else would never match.
  if (/[^\x21-\x7e]/.test(path)) return "has a character that must be percent-encoded";
  if (path.split("/").some((segment) => /^(\.|%2e){1,2}$/i.test(segment)))
    return 'has a "." or ".." segment';
  if (hasBadEscape(path)) return "has a malformed percent-escape, or %00";
  if (!passesEncodedSlashes && hasEncodedSlash(normalisePath(path)))
    return 'no path has an encoded slash or a backslash unless encoded_slashes is "pass"';
  return null;
}
