/**
 * The fields that the gateway itself writes into every request to a peer, whatever the protocol: who asks, and
 * through which proxies.
 */
import type { UpstreamRequest } from "../exchange/ports.ts";
import { forwardedLines, plainStory } from "../message/forwarding.ts";

/** Returns lines, each with its CR LF. */
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
