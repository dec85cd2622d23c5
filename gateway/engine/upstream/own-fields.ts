/** The fields of a request to a peer that the gateway writes whatever it speaks: who asks, and by which way. */
import type { UpstreamRequest } from "../exchange/ports.ts";
import { forwardedLines, plainStory } from "../message/forwarding.ts";

/** Lines, each with its CR LF. */
export function ownFields(request: UpstreamRequest): string {
  return `${forwarded(request)}X-Request-Id: ${request.id}\r\nVia: ${request.head.version} sluice\r\n`;
}

function forwarded(request: UpstreamRequest): string {
  const { head } = request;
  const { fields, story } = head;
  if (story === null && !fields.hasEdits) {
    return `${request.forwardedLine}X-Forwarded-Host: ${head.authority}\r\n`;
  }
  const { address } = request;
  return forwardedLines(
    story ?? plainStory(address, request.scheme),
    address,
    head.authority,
    fields,
  );
}
