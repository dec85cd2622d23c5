/** Which trailer fields are passed on. */
import { listElements } from "./grammar.ts";

/**
 * Fields that decide on framing, routing, authentication or the reading of the content must not
 * arrive late (RFC 9110 section 6.5.1): they are left out.
 */
const forbidden =
  /^(?:authorization|cache-control|connection|content-[a-z]+|cookie|expect|forwarded|host|keep-alive|location|max-forwards|pragma|proxy-[a-z-]+|range|set-cookie|te|trailer|transfer-encoding|upgrade|via|www-authenticate|x-forwarded-[a-z]+|x-request-id):/i;

/**
 * Field lines in, each with its CR LF; those that may be passed on out. `connection`: the value of the
 * message's `Connection`, whose names end here too.
 */
export function allowedTrailer(lines: string, connection: string): string {
  if (lines === "") return "";
  const named = new Set(listElements(connection));
  return lines
    .split("\r\n")
    .filter((line) => line !== "" && !forbidden.test(line))
    .filter((line) => !named.has(line.slice(0, line.indexOf(":")).toLowerCase()))
    .map((line) => `${line}\r\n`)
    .join("");
}
