/** What is sent to a peer for a client's request: the target, every header line, and how the body is framed. */
import type { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import { forwardedLines, plainStory } from "../message/forwarding.ts";
import type { RequestTarget } from "../message/request-target.ts";
import { announcedTrailers } from "../message/trailer.ts";
import type { Outgoing } from "./forwarder.ts";
import type { RequestPlan } from "./request-plan.ts";

/**
 * `address` is that of the client's connection, `id` the request's, `trailers` the names of the trailer
 * fields that may follow; `body` is empty where the plan knows of none.
 */
export function outgoingRequest(
  request: IncomingMessage,
  plan: RequestPlan,
  target: RequestTarget,
  address: string,
  id: string,
  trailers: ReadonlySet<string> | null,
  body: Readable,
): Outgoing {
  const headers: (readonly [string, string])[] = [["Host", target.authority]];
  headers.push(...plan.headers.forwarded());
  const story = plan.story ?? plainStory(address);
  const lines = forwardedLines(story, address, plan.authority, plan.headers);
  for (const line of lines.split("\r\n")) {
    const colon = line.indexOf(": ");
    if (colon !== -1) headers.push([line.slice(0, colon), line.slice(colon + 2)]);
  }
  headers.push(["X-Request-Id", id], ["Via", `${request.httpVersion} sluice`]);
  if (plan.expectsContinue) headers.push(["Expect", "100-continue"]);
  if (plan.takesTrailers) headers.push(["Connection", "TE"], ["TE", "trailers"]);
  if (plan.upgrade !== "") headers.push(["Connection", "Upgrade"], ["Upgrade", plan.upgrade]);
  let framing: Outgoing["framing"] = null;
  if (plan.isChunked) {
    framing = ["Transfer-Encoding", "chunked"];
    // Only there: `node:http` refuses it elsewhere.
    const announced = trailers === null ? "" : announcedTrailers(plan.trailer, trailers);
    if (announced !== "") headers.push(["Trailer", announced]);
  } else if (plan.contentLength !== -1) framing = ["Content-Length", String(plan.contentLength)];
  return { target: target.text, headers, framing, body };
}
