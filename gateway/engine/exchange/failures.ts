/** What a failed try means: whether it may be repeated, and what the client is told of it. */
import type { EngineLimits, PeerFailure, TryLimits } from "../engine.ts";
import type { Refusal } from "../message/grammar.ts";

/**
 * Peers that one request is tried on at most, whatever fails: nothing is sent by a connection that is refused,
 * but a thousand refusals for each request to a dead service would be a storm of the gateway's own making.
 */
const maxPeersPerRequest = 100;

/** Methods that may be sent twice (RFC 9110 section 9.2.2). */
export const idempotent: ReadonlySet<string> = new Set([
  "GET",
  "HEAD",
  "OPTIONS",
  "TRACE",
  "PUT",
  "DELETE",
]);

/** How far the tries of a request have come. */
export interface Tries {
  /** Peers that were tried. */
  readonly tries: number;
  /** Tries in which bytes of the request may have been sent. */
  readonly sent: number;
  /** Since the first try began. */
  readonly elapsedMs: number;
}

/** Whether the limits leave another try. */
export function leavesTry(progress: Tries, own: TryLimits | null, limits: EngineLimits): boolean {
  const { tries, sent, elapsedMs } = progress;
  const tryTimeoutMs = own?.tryTimeoutMs ?? limits.tryTimeoutMs;
  return (
    sent < (own?.maxTries ?? limits.maxTries) &&
    (tryTimeoutMs === 0 || elapsedMs < tryTimeoutMs) &&
    tries < maxPeersPerRequest
  );
}

/** Whether no byte of the request can have reached the peer, and another may have better luck. */
export function wasNeverSent(failure: PeerFailure): boolean {
  return failure.code === "connect_failed" || failure.code === "connect_timeout";
}

/**
 * Whether a request that was sent, is idempotent and can be sent again in full may go to another peer, as by
 * nginx's default `proxy_next_upstream error timeout`. No byte of an answer may have come.
 */
export function isSilence(failure: PeerFailure): boolean {
  return failure.code === "reset" || failure.code === "response_timeout";
}

/** What the gateway itself lacks when connecting fails with one of these. */
const ownLacks: Readonly<Record<string, string>> = {
  EMFILE: "this process has no file descriptor left (ulimit -n)",
  ENFILE: "this machine has no file descriptor left (fs.file-max)",
  ENOBUFS: "this machine has no memory left for sockets",
  ENOMEM: "this machine has no memory left for sockets",
  EADDRNOTAVAIL:
    "no local port is left for another connection to it (net.ipv4.ip_local_port_range)",
};

/** Why a connection to the peer of `key` could not be established. */
export function connectFailure(
  key: string,
  error: (Error & { readonly code?: string; readonly address?: string }) | null,
): PeerFailure {
  const lack = ownLacks[error?.code ?? ""];
  // To an IPv6 address it also means that this machine has no IPv6: then it is the address that cannot be used.
  const isOwn = error?.code !== "EADDRNOTAVAIL" || !error.address?.includes(":");
  if (lack !== undefined && isOwn) {
    return { code: "no_resources", message: `connecting to ${key}: ${error?.code}: ${lack}` };
  }
  return { code: "connect_failed", message: `connecting to ${key}: ${error?.message ?? "closed"}` };
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
  if (code === "no_resources") {
    return { status: 503, code, message: failureText(failure, host) };
  }
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
    case "no_resources":
      return "the gateway has no descriptor, port or memory left for another connection";
  }
}
