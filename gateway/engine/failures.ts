/** What a failed try means: whether it may be repeated, and what the client is told of it. */
import type { PeerFailure } from "./engine.ts";
import type { Refusal } from "./grammar.ts";

/** Methods that may be sent twice (RFC 9110 section 9.2.2). */
export const idempotent: ReadonlySet<string> = new Set([
  "GET",
  "HEAD",
  "OPTIONS",
  "TRACE",
  "PUT",
  "DELETE",
]);

/** Whether no byte of the request can have reached the peer. */
export function wasNeverSent(failure: PeerFailure): boolean {
  return failure.code === "connect_failed" || failure.code === "connect_timeout";
}

/** Why the try before brought nothing; `queue_full`: too many wait for the peer, which is no failure of its own. */
export type Unanswered = PeerFailure | "queue_full";

/** What the client is answered after the last try; `null`: there was nobody to try. */
export function outcomeOf(failure: Unanswered | null, host: string): Refusal {
  if (failure === null) {
    return { status: 503, code: "no_peer", message: `no healthy peer for ${host}` };
  }
  if (failure === "queue_full") {
    return { status: 503, code: failure, message: `too many requests wait for a peer of ${host}` };
  }
  const { code } = failure;
  const isTime = code === "connect_timeout" || code === "response_timeout";
  return { status: isTime ? 504 : 502, code, message: failureText(failure, host) };
}

/** For the client: it names the host that was asked for, never the address of a peer. */
function failureText(failure: PeerFailure, host: string): string {
  switch (failure.code) {
    case "connect_failed":
      return `no peer of ${host} accepts connections`;
    case "connect_timeout":
      return `no peer of ${host} accepted a connection in time`;
    case "response_timeout":
      return `the peer of ${host} did not answer in time`;
    case "reset":
      return `the peer of ${host} closed the connection before it answered`;
    case "bad_response":
      return `the peer of ${host} gave an answer that is not valid HTTP`;
  }
}
