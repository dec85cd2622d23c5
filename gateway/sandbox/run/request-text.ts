/**
 * A request as one text: how a worker brings it into an isolate, and how it keeps one that failed, to be tried
 * again elsewhere.
 */
import type { Exchange } from "../../engine/engine.ts";

/** Of a request that is kept; beyond, its last header lines are left out. */
const maxKeptHeaders = 16_384;
const linesBeforeHeaders = 8;

/**
 * A string of its own for each field costs more to bring into an isolate than taking this one apart there. The
 * grammar of heads keeps line feeds out of every field.
 * @param headers lines with CR LF between them.
 */
export function requestText(exchange: Exchange<unknown>, headers: string): string {
  const { method, scheme, host, path, query, clientAddress, id } = exchange;
  // Mostly the two are the same.
  const raw = exchange.rawPath === path ? "" : exchange.rawPath;
  return `${method}\n${scheme}\n${host}\n${path}\n${raw}\n${query}\n${clientAddress}\n${id}\n${headers}`;
}

/** The same with no more headers than are worth keeping. */
export function keptText(text: string): string {
  let headers = 0;
  for (let line = 0; line < linesBeforeHeaders; line += 1)
    headers = text.indexOf("\n", headers) + 1;
  return text.slice(0, headers) + keptHeaders(text.slice(headers));
}

/** Header lines, as many as are worth keeping. */
export function keptHeaders(lines: string): string {
  if (lines.length <= maxKeptHeaders) return lines;
  return lines.slice(0, Math.max(0, lines.lastIndexOf("\r\n", maxKeptHeaders)));
}

/** What the gateway itself looks at. */
export function readRequestText(text: string): {
  readonly method: string;
  readonly host: string;
  readonly path: string;
  readonly target: string;
} {
  const [method = "", , host = "", path = "", raw = "", query = ""] = text.split("\n", 6);
  const rawPath = raw === "" ? path : raw;
  return { method, host, path, target: query === "" ? rawPath : `${rawPath}?${query}` };
}
