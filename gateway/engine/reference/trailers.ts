/** Trailer fields between the form of `node:http` and that of the rules of which may be passed on. */

/** The trailers of a message as field lines, each with its CR LF. */
export function trailerLines(rawTrailers: readonly string[]): string {
  let lines = "";
  for (let n = 0; n + 1 < rawTrailers.length; n += 2) {
    lines += `${rawTrailers[n]}:${rawTrailers[n + 1]}\r\n`;
  }
  return lines;
}

/** Field lines as name and value. */
export function trailerPairs(lines: string): [name: string, value: string][] {
  return lines
    .split("\r\n")
    .filter((line) => line !== "")
    .map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1)];
    });
}
