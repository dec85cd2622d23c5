/**
 * The heads that the engine writes: to a peer, and to a client. Always canonical: framing, hop-by-hop
 * and forwarding fields are the engine's own words, everything else is what came in.
 */
import { forwardedLines, plainStory } from "../message/forwarding.ts";
import type { RequestHead } from "../message/request-head.ts";
import type { ResponseHead } from "../message/response-head.ts";
import { announcedTrailers } from "../message/trailer.ts";

/** What a client connection vouches for in each of its requests. */
export interface ClientOrigin {
  readonly address: string;
  /** `X-Forwarded-For` and `-Proto` of an untrusted client. */
  readonly forwardedLine: string;
}

/**
 * The head of a request to a peer. `target` and `authority` are those to send, `id` is the request's,
 * `trailers` are the names of the trailer fields that may follow.
 */
export function requestText(
  head: RequestHead,
  client: ClientOrigin,
  target: string,
  authority: string,
  id: string,
  trailers: ReadonlySet<string> | null,
): string {
  let framing = "";
  if (head.isChunked) {
    framing = "Transfer-Encoding: chunked\r\n";
    const announced = trailers === null ? "" : announcedTrailers(head.trailer, trailers);
    if (announced !== "") framing += `Trailer: ${announced}\r\n`;
  } else if (head.contentLength !== -1) framing = `Content-Length: ${head.contentLength}\r\n`;
  // Only with content, and not on behalf of an HTTP/1.0 client (RFC 9110 section 10.1.1).
  if (head.expectsContinue && head.hasBody && head.minor === 1)
    framing += "Expect: 100-continue\r\n";
  if (head.takesTrailers) framing += "Connection: TE\r\nTE: trailers\r\n";
  if (head.upgrade !== "") framing += `Connection: Upgrade\r\nUpgrade: ${head.upgrade}\r\n`;
  const { fields, story } = head;
  const forwarded =
    story !== null || fields.hasEdits
      ? forwardedLines(story ?? plainStory(client.address), client.address, head.authority, fields)
      : `${client.forwardedLine}X-Forwarded-Host: ${head.authority}\r\n`;
  return `${head.method} ${target} HTTP/1.1\r\nHost: ${authority}\r\n${fields}${forwarded}X-Request-Id: ${id}\r\nVia: 1.${head.minor} sluice\r\n${framing}\r\n`;
}

/** How an answer's body is framed towards the client. */
export function framingLine(head: ResponseHead, asChunks: boolean): string {
  if (asChunks) return "Transfer-Encoding: chunked\r\n";
  const hasLength = head.framing === "length" || head.framing === "none";
  if (!hasLength || head.contentLength === -1 || head.status === 204) return "";
  return `Content-Length: ${head.contentLength}\r\n`;
}

/** The `Connection` line of an answer, when one is needed. */
export function connectionLine(keepAlive: boolean, minor: number): string {
  if (!keepAlive) return "Connection: close\r\n";
  return minor === 0 ? "Connection: keep-alive\r\n" : "";
}
