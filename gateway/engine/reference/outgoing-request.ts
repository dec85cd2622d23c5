/** What is sent to a peer for a client's request: the target, every header line, and how the body is framed. */
import type { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import { forwardedLines } from "../forwarding.ts";
import type { RequestTarget } from "../request-target.ts";
import type { Outgoing } from "./forwarder.ts";
import type { RequestPlan } from "./request-plan.ts";

/** What the client's connection vouches for. */
interface Origin {
  readonly address: string;
  readonly isTrusted: boolean;
}

/** `id` is the request's; `body` is empty where the plan knows of none. */
export function outgoingRequest(
  request: IncomingMessage,
  plan: RequestPlan,
  target: RequestTarget,
  origin: Origin,
  id: string,
  body: Readable,
): Outgoing {
  const headers: (readonly [string, string])[] = [["Host", target.authority]];
  headers.push(...plan.headers.forwarded().filter(([name]) => !isTrailerOf(name, plan)));
  const said = origin.isTrusted
    ? plan
    : { forwardedFor: "", forwardedProto: "http", forwardedHost: "" };
  for (const line of forwardedLines(said, origin.address, plan.authority).split("\r\n")) {
    const colon = line.indexOf(": ");
    if (colon !== -1) headers.push([line.slice(0, colon), line.slice(colon + 2)]);
  }
  headers.push(["X-Request-Id", id], ["Via", `${request.httpVersion} sluice`]);
  if (plan.expectsContinue) headers.push(["Expect", "100-continue"]);
  if (plan.takesTrailers) headers.push(["Connection", "TE"], ["TE", "trailers"]);
  if (plan.upgrade !== "") headers.push(["Connection", "Upgrade"], ["Upgrade", plan.upgrade]);
  let framing: Outgoing["framing"] = null;
  if (plan.isChunked) framing = ["Transfer-Encoding", "chunked"];
  else if (plan.contentLength !== -1) framing = ["Content-Length", String(plan.contentLength)];
  return { target: target.text, headers, framing, body };
}

/** `Trailer` belongs to a chunked body only; `node:http` refuses it elsewhere. */
function isTrailerOf(name: string, plan: RequestPlan): boolean {
  return !plan.isChunked && name.toLowerCase() === "trailer";
}
