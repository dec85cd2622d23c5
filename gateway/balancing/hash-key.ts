/** The part of a request that keeps it with one peer, as the upstream's document says. */
import type { Exchange } from "../engine/engine.ts";
import type { HashBy } from "../model/index.ts";

/** The parts of a request from which a key can be read. */
export type KeySource = Pick<
  Exchange<unknown>,
  "path" | "query" | "host" | "clientAddress" | "header"
>;

/** Returns the key of a request; empty: it has none. */
export type KeyOf = (request: KeySource) => string;

export function keyReader(by: HashBy): KeyOf {
  if (by === "uri") return ({ path, query }) => (query === "" ? path : `${path}?${query}`);
  if (by === "path") return ({ path }) => path;
  if (by === "client") return ({ clientAddress }) => clientAddress;
  if (by === "host") return ({ host }) => host;
  if ("header" in by) return (request) => request.header(by.header) ?? "";
  if ("cookie" in by) return (request) => cookieOf(request.header("cookie") ?? "", by.cookie) ?? "";
  return ({ path }) => segmentOf(path, by.pathSegment);
}

/** The value of the first cookie with that name (RFC 6265 section 4.2.1); `undefined` when there is none. */
export function cookieOf(cookies: string, name: string): string | undefined {
  for (let from = 0; from < cookies.length; ) {
    const found = cookies.indexOf(";", from);
    const end = found === -1 ? cookies.length : found;
    while (cookies.charCodeAt(from) === 0x20) from += 1;
    if (cookies.startsWith(name, from) && cookies.charCodeAt(from + name.length) === 0x3d)
      return cookies.slice(from + name.length + 1, end);
    from = end + 1;
  }
  return undefined;
}

/** The n-th segment, counted from 1; empty when the path has fewer. */
function segmentOf(path: string, at: number): string {
  let start = 0;
  for (let n = 1; n <= at; n += 1) {
    start = path.indexOf("/", start) + 1;
    if (start === 0) return "";
  }
  const end = path.indexOf("/", start);
  return path.slice(start, end === -1 ? path.length : end);
}
