/** Trailer fields between the form of `node:http` and the rule of which may be passed on. */
import { allowedTrailer } from "../trailer.ts";

/** Those of `rawTrailers` that go on, as name and value; `connection` is the message's own value. */
export function trailerPairs(
  rawTrailers: readonly string[],
  connection: string,
): [name: string, value: string][] {
  let lines = "";
  for (let n = 0; n + 1 < rawTrailers.length; n += 2) {
    lines += `${rawTrailers[n]}:${rawTrailers[n + 1]}\r\n`;
  }
  return allowedTrailer(lines, connection)
    .split("\r\n")
    .filter((line) => line !== "")
    .map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1)];
    });
}
