/**
 * Names of request fields that somebody behind the gateway could take for others: CGI, WSGI, Rack and PHP
 * turn `X_User`, and some of them `X.User` too, into the variable that `X-User` has.
 */
import { forwardingKind, requestOwned } from "./fields.ts";

/** Letters, digits and hyphens: each reads such a name in one way. */
const plainName = /^[0-9A-Za-z-]+$/;
const otherThanPlain = /[^0-9a-z-]/g;
const nameWithUnderscores = /^[0-9A-Za-z_-]+$/;

/** What of the engine's limits concerns names. The words are nginx's. */
export interface NameRules {
  readonly underscoresInHeaders: boolean;
  readonly ignoreInvalidHeaders: boolean;
}

export function isPlainName(name: string): boolean {
  return plainName.test(name);
}

/** Whether a client's field with this name, which is a token, is passed on. */
export function isNamePassedOn(name: string, rules: NameRules): boolean {
  if (plainName.test(name)) return true;
  const isAllowed = rules.underscoresInHeaders && nameWithUnderscores.test(name);
  if (rules.ignoreInvalidHeaders && !isAllowed) return false;
  // What the gateway vouches for has no second spelling, whatever is allowed.
  const alias = name.toLowerCase().replace(otherThanPlain, "-");
  return !requestOwned.has(alias) && forwardingKind(alias) === null;
}

/**
 * A request head of valid grammar without the lines whose names are not passed on. Not for the hot path:
 * `plainRequestHead` tells when there are none.
 */
export function withoutOddNames(
  head: string,
  rules: NameRules,
): { readonly head: string; readonly dropped: number } {
  let out = "";
  let from = 0;
  let dropped = 0;
  for (let line = head.indexOf("\r\n") + 2; line < head.length - 2; ) {
    const next = head.indexOf("\r\n", line) + 2;
    if (!isNamePassedOn(head.slice(line, head.indexOf(":", line)), rules)) {
      out += head.slice(from, line);
      from = next;
      dropped += 1;
    }
    line = next;
  }
  return { head: out + head.slice(from), dropped };
}
