/** Which trailer fields are passed on. */
import { isNamePassedOn, isPlainName, type NameRules } from "./field-names.ts";
import { forwardingKind, requestOwned } from "./fields.ts";
import { listElements } from "./grammar.ts";

/**
 * Left out: fields that decide about framing, routing, authentication or how to read the content must not come late
 * (RFC 9110 section 6.5.1).
 */
const forbidden =
  /^(?:authorization|cache-control|connection|content-[a-z]+|cookie|expect|forwarded|host|keep-alive|location|max-forwards|pragma|proxy-[a-z-]+|range|set-cookie|te|trailer|transfer-encoding|upgrade|via|www-authenticate|x-forwarded-[a-z]+|x-request-id)$/i;

/** Whether a host may let trailer fields with this name, in lower case, through to its origins. */
export function isTrailerName(name: string): boolean {
  const isTheGateways = requestOwned.has(name) || forwardingKind(name) !== null;
  return (
    isPlainName(name) && name === name.toLowerCase() && !isTheGateways && !forbidden.test(name)
  );
}

/**
 * Takes an answer's trailer lines, each with its CR LF, and returns those that may be passed on. `connection`: the
 * value of the message's `Connection`; the fields that it names end here too.
 */
export function answerTrailer(lines: string, connection: string): string {
  if (lines === "") return "";
  const named = new Set(listElements(connection));
  return kept(lines, (name) => !forbidden.test(name) && !named.has(name.toLowerCase()));
}

/** Does the same for a request, from which only allowed names pass. `allowed`: in lower case; `null`: none. */
export function requestTrailer(
  lines: string,
  connection: string,
  allowed: ReadonlySet<string> | null,
): string {
  if (lines === "" || allowed === null) return "";
  const named = new Set(listElements(connection));
  return kept(lines, (name) => {
    const lower = name.toLowerCase();
    return allowed.has(lower) && isTrailerName(lower) && !named.has(lower);
  });
}

/** Which names in a request's `Trailer` are announced to the origin. */
export function announcedTrailers(trailer: string, allowed: ReadonlySet<string>): string {
  return listElements(trailer)
    .filter((name) => allowed.has(name))
    .join(", ");
}

/** How many of these lines are left out because of their names, whatever the host allows. */
export function oddTrailerNames(lines: string, rules: NameRules): number {
  if (lines === "") return 0;
  let count = 0;
  kept(lines, (name) => {
    if (!isNamePassedOn(name, rules)) count += 1;
    return false;
  });
  return count;
}

function kept(lines: string, isKept: (name: string) => boolean): string {
  return lines
    .split("\r\n")
    .filter((line) => line !== "" && isKept(line.slice(0, line.indexOf(":"))))
    .map((line) => `${line}\r\n`)
    .join("");
}
