/** Which trailer fields are passed on. */
import { isNamePassedOn, isPlainName, type NameRules } from "./field-names.ts";
import { forwardingKind, requestOwned } from "./fields.ts";
import { listElements } from "./grammar.ts";

/**
 * Fields that decide on framing, routing, authentication or the reading of the content must not
 * arrive late (RFC 9110 section 6.5.1): they are left out.
 */
const forbidden =
  /^(?:authorization|cache-control|connection|content-[a-z]+|cookie|expect|forwarded|host|keep-alive|location|max-forwards|pragma|proxy-[a-z-]+|range|set-cookie|te|trailer|transfer-encoding|upgrade|via|www-authenticate|x-forwarded-[a-z]+|x-request-id)$/i;

/** Whether a host may let trailer fields of this name, which is in lower case, reach its origins. */
export function isTrailerName(name: string): boolean {
  const isTheGateways = requestOwned.has(name) || forwardingKind(name) !== null;
  return (
    isPlainName(name) && name === name.toLowerCase() && !isTheGateways && !forbidden.test(name)
  );
}

/**
 * Field lines of an answer in, each with its CR LF; those that may be passed on out. `connection`: the
 * value of the message's `Connection`, whose names end here too.
 */
export function answerTrailer(lines: string, connection: string): string {
  if (lines === "") return "";
  const named = new Set(listElements(connection));
  return kept(lines, (name) => !forbidden.test(name) && !named.has(name.toLowerCase()));
}

/** The same of a request: only what is allowed by name. `allowed`: in lower case; `null`: none. */
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

/** What of a request's `Trailer` is announced to the origin. */
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
