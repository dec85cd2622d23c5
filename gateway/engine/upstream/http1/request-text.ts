/**
 * The head of a request to a peer, always in canonical form: the engine writes framing, hop-by-hop and forwarding
 * fields itself, and passes on everything else as it came.
 */
import type { UpstreamRequest } from "../../exchange/ports.ts";
import { announcedTrailers } from "../../message/trailer.ts";
import { ownFields } from "../own-fields.ts";

export function requestText(request: UpstreamRequest): string {
  const { head, authority, trailers } = request;
  let framing = "";
  if (request.isStreamed) {
    framing = "Transfer-Encoding: chunked\r\n";
    const announced = trailers === null ? "" : announcedTrailers(head.trailer, trailers);
    if (announced !== "") framing += `Trailer: ${announced}\r\n`;
  } else {
    const { bodyLength } = request;
    if (bodyLength !== -1) framing = `Content-Length: ${bodyLength}\r\n`;
  }
  // Sent only with a body, and not for an HTTP/1.0 client (RFC 9110 section 10.1.1).
  if (head.expectsContinue && head.hasBody && head.version !== "1.0")
    framing += "Expect: 100-continue\r\n";
  if (head.takesTrailers) framing += "Connection: TE\r\nTE: trailers\r\n";
  if (head.upgrade !== "") framing += `Connection: Upgrade\r\nUpgrade: ${head.upgrade}\r\n`;
  return `${head.method} ${request.targetText} HTTP/1.1\r\nHost: ${authority}\r\n${head.fields}${ownFields(request)}${framing}\r\n`;
}
