/** What a failed try means: whether the request may be sent again, and what the client is told. */
import type { PeerFailure } from "../engine.ts";
import type { Refusal } from "../message/grammar.ts";

/** Methods that may be sent twice (RFC 9110 section 9.2.2). */
export const idempotent: ReadonlySet<string> = new Set([
  "GET",
  "HEAD",
  "OPTIONS",
  "TRACE",
  "PUT",
  "DELETE",
]);

/** Whether the peer cannot have received any byte of the request, so that it is safe to try another peer. */
export function wasNeverSent({ code }: PeerFailure): boolean {
  return (
    code === "connect_failed" ||
    code === "tls_failed" ||
    code === "connect_timeout" ||
    code === "connect_overdue" ||
    code === "queue_full"
  );
}

/**
 * Whether the try ended without an answer. Then a request that is idempotent and can be sent again in full may go to
 * another peer, as with nginx's default `proxy_next_upstream error timeout`. No byte of an answer may have come.
 */
export function isSilence({ code }: PeerFailure): boolean {
  return code === "reset" || code === "response_timeout";
}

/**
 * What the client is answered after the last try failed; `null`: there was no peer to try. The message names the host
 * that the client asked for, never a peer's address.
 */
export function outcomeOf(failure: PeerFailure | null, host: string): Refusal {
  switch (failure?.code) {
    case undefined:
      return { status: 503, code: "no_peer", message: `no healthy peer for ${host}` };
    case "connect_failed":
      return refusal(502, "connect_failed", `no peer of ${host} accepts connections`);
    case "tls_failed":
      return refusal(502, "tls_failed", `the TLS handshake with the peer of ${host} failed`);
    case "connect_timeout":
    case "connect_overdue":
      return refusal(504, "connect_timeout", `no peer of ${host} accepted a connection in time`);
    case "response_timeout":
      return refusal(504, "response_timeout", `the peer of ${host} did not answer in time`);
    case "reset":
      return refusal(502, "reset", `the peer of ${host} closed the connection before it answered`);
    case "refused":
      return refusal(503, "refused", `the peer of ${host} takes no more requests`);
    case "bad_response":
      return refusal(
        502,
        "bad_response",
        `the peer of ${host} gave an answer that is not valid HTTP`,
      );
    case "no_resources":
      return refusal(
        503,
        "no_resources",
        "the gateway has no descriptor, port or memory left for another connection",
      );
    case "queue_full":
      return refusal(503, "queue_full", `too many requests wait for a peer of ${host}`);
    case "queue_timeout":
      return refusal(503, "queue_timeout", `no peer of ${host} became free in time`);
  }
}

/** What a client is answered that would take the answer there is for a switch of protocols, though it is none. */
export function notSwitched(host: string): Refusal {
  return refusal(502, "no_upgrade", `${host} did not switch to the protocol that was asked for`);
}

function refusal(status: number, code: string, message: string): Refusal {
  return { status, code, message };
}
