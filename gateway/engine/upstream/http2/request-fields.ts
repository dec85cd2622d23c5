/** The head of a request to a peer in HTTP/2's form (RFC 9113 section 8.3.1). */
import type { UpstreamRequest } from "../../exchange/ports.ts";
import { appendFields } from "../../message/http2-fields.ts";
import { announcedTrailers } from "../../message/trailer.ts";
import { ownFields } from "../own-fields.ts";

/** Returns names and values alternately. It asks for no upgrade: HTTP/2 has none. */
export function requestFields(request: UpstreamRequest, scheme: "http" | "https"): string[] {
  const { head, bodyLength, trailers } = request;
  const fields = [
    ...[":method", head.method, ":scheme", scheme],
    ...[":authority", request.authority, ":path", request.targetText],
  ];
  appendFields(fields, `${head.fields}${ownFields(request)}`);
  if (request.isStreamed) {
    const announced = trailers === null ? "" : announcedTrailers(head.trailer, trailers);
    if (announced !== "") fields.push("trailer", announced);
  } else if (bodyLength !== -1) {
    fields.push("content-length", String(bodyLength));
  }
  if (head.expectsContinue && head.hasBody && head.version !== "1.0") {
    fields.push("expect", "100-continue");
  }
  if (head.takesTrailers) fields.push("te", "trailers");
  return fields;
}
