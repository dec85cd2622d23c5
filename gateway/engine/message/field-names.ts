/**
 * Names of request fields that a program behind the gateway could mistake for others. CGI, WSGI, Rack and PHP turn
 * `X_User`, and some of them `X.User` too, into the same variable as `X-User`.
 */
import { forwardingKind, requestOwned } from "./fields.ts";

/** Letters, digits and hyphens: every program reads such a name in the same way. */
const plainName = /^[0-9A-Za-z-]+$/;
const otherThanPlain = /[^0-9a-z-]/g;
const nameWithUnderscores = /^[0-9A-Za-z_-]+$/;

/** The engine's limits that concern names, in nginx's words. */
export interface NameRules {
  readonly underscoresInHeaders: boolean;
  readonly ignoreInvalidHeaders: boolean;
}

export function isPlainName(name: string): boolean {
  return plainName.test(name);
}

/** Whether a client's field with this name is passed on. `name` is a valid token. */
export function isNamePassedOn(name: string, rules: NameRules): boolean {
  if (plainName.test(name)) return true;
  const isAllowed = rules.underscoresInHeaders && nameWithUnderscores.test(name);
  if (rules.ignoreInvalidHeaders && !isAllowed) return false;
  // A field that the gateway vouches for has no second spelling, whatever is allowed.
  const alias = name.toLowerCase().replace(otherThanPlain, "-");
  return !requestOwned.has(alias) && forwardingKind(alias) === null;
}

/**
 * Returns a valid request head without the lines whose names are not passed on. Too slow for the hot path, where
 * `plainRequestHead` shows that there are none.
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
