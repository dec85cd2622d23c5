/** What a failed try means: whether it may be repeated, and what the client is told of it. */
import type { PeerFailure } from "./engine.ts";

/** Methods that may be sent twice (RFC 9110 section 9.2.2). */
export const idempotent: ReadonlySet<string> = new Set([
  "GET",
  "HEAD",
  "OPTIONS",
  "TRACE",
  "PUT",
  "DELETE",
]);

/** For the client: it names the host that was asked for, never the address of a peer. */
export function failureText(failure: PeerFailure, host: string): string {
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
