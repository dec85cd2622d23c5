/**
 * The contract between an HTTP engine and the gateway that uses it. An engine owns the sockets and
 * calls a `Handler` at the phases of a request's life; it knows nothing of Consul, routing or
 * scripts. The door of the gateway's own engine is `index.ts`.
 */
import type { AddressInfo, ListenOptions } from "node:net";

import type { Peer } from "./peer.ts";
import type { BodyTap } from "./tap.ts";
import type { Target } from "./target.ts";
import type { ClientTls, ListenerTls } from "./tls.ts";
import type { PeerMaterials } from "./upstream/peer-tls.ts";

export { Peer } from "./peer.ts";
export type { BodyTap, TapOutput } from "./tap.ts";
export { type PeerTls, Target, type TargetOptions } from "./target.ts";

/** An answer that the gateway gives by itself, without an origin. */
export interface Answer {
  /** From 200 to 599. */
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** Sent as UTF-8 when a string. Default: empty. */
  readonly body?: string | Buffer;
}

/** Why a try on a peer did not bring a complete answer. */
export type FailureCode =
  /** The connection was refused, reset or unreachable before it was established. */
  | "connect_failed"
  /** The connection was not established in time. */
  | "connect_timeout"
  /** The connection was established, but the handshake of TLS on it failed. */
  | "tls_failed"
  /** The peer closed or reset the connection before its answer's head was complete. */
  | "reset"
  /** The answer's head did not arrive in time. */
  | "response_timeout"
  /** The peer says that it did not process the request (RFC 9113 section 8.7). */
  | "refused"
  /** The answer breaks RFC 9112 or RFC 9113, so the engine does not pass it on. */
  | "bad_response"
  /** The gateway or its machine has no descriptor, port or memory left to connect with. */
  | "no_resources"
  /** The request waited for a connection attempt that failed; another request was told the reason. */
  | "connect_overdue"
  /** Too many requests wait for the peer's connections already. */
  | "queue_full"
  /** The request waited too long for one of the peer's connections. */
  | "queue_timeout";

/**
 * Failures that say nothing about the peer. `connect_overdue` is among them because each failed connection attempt
 * blames the peer once, in the one exchange that is told the reason.
 */
const blameless: ReadonlySet<FailureCode> = new Set([
  "no_resources",
  "connect_overdue",
  "queue_full",
  "queue_timeout",
]);

/** Whether a failure counts against the peer. */
export function isPeersFault(failure: PeerFailure): boolean {
  return !blameless.has(failure.code);
}

export interface PeerFailure {
  readonly code: FailureCode;
  readonly message: string;
}

/**
 * One request and its answer on their way through the gateway. The engine makes it and owns it. It is valid until
 * `onEnd` returns; then the engine may reuse it for another request, so nothing may keep a reference to it.
 *
 * Header names are compared without regard to case. Values are latin1 strings, as on the wire.
 * Setting a header checks the grammar of RFC 9110 section 5.5 and throws a `TypeError` that names
 * the header. Setting a header that belongs to the engine (framing, hop-by-hop; see `isEngineHeader`) throws too.
 */
export interface Exchange<Context> {
  /** The handler's own state for this request; `null` when the exchange starts. */
  context: Context | null;

  /** Unique in the cluster: the worker's prefix and a counter. A trusted client's own id is kept. */
  readonly id: string;
  readonly method: string;
  /** The connection's scheme; for a request from a trusted proxy, the scheme that this proxy reports. */
  readonly scheme: "http" | "https";
  /**
   * The address that the client's socket has. For a request from a trusted proxy: the right-most address in
   * `X-Forwarded-For` or `Forwarded` that does not belong to a trusted proxy.
   */
  readonly clientAddress: string;
  /** Where the client connected: the number that `Engine.listen` was given for that address. */
  readonly listener: number;
  /** The socket's address when it belongs to a trusted proxy, otherwise empty. */
  readonly proxyAddress: string;
  /** How the client's connection is encrypted; `null` when it is in clear. */
  readonly tls: ClientTls | null;
  /** The `Host` to forward, with its port. At first as the client wrote it; set it to forward another. */
  authority: string;
  /** The `Host` for the next try; empty means `authority`. Set in `onPick`. */
  sentAuthority: string;
  /** `authority` in the form for lookups: lower case, without port and trailing dot. Changes with `authority`. */
  readonly host: string;
  /**
   * From the first `/` to the `?`, in normal form (`path.ts`). Every decision is made by this path. Setting it checks
   * the new path (throws a `TypeError`) and brings it into normal form.
   */
  path: string;
  /** The path as the client wrote it. */
  readonly rawPath: string;
  /** Whether `path` has `%2F`, `%5C` or a backslash, which some readers take for a slash. Changes with `path`. */
  readonly hasEncodedSlash: boolean;
  /** What follows the first `?`, without it; empty when there is none. Setting it checks it (throws a `TypeError`). */
  query: string;
  /** Whether the request has a body (a length above 0 or chunked). */
  readonly hasBody: boolean;

  /** The first value of a request header, or `undefined`. */
  header(name: string): string | undefined;
  /** Replaces every value of a request header. */
  setHeader(name: string, value: string): void;
  /** After `X-Forwarded-For`, `-Proto` or `-Host` is removed, the engine does not send that field to the origin. */
  removeHeader(name: string): void;
  /**
   * The header lines as the client sent them, joined by CR LF, before any change; for lazy decoding. Lines with odd
   * names are missing, and so are forwarding fields unless a trusted proxy sent them.
   */
  readonly rawHeaders: string;
  /** The header lines as they stand now: with the handler's changes, and without the fields that `Connection` names. */
  readonly headerLines: string;
  /**
   * Names, in lower case, of the request's trailer fields that the engine passes on. `null`, the value at the start,
   * passes on none. The handler sets it in `onRequest`.
   */
  trailers: ReadonlySet<string> | null;

  /** Ends the exchange with this answer. Allowed in `onRequest`, in `onPick`, and while the exchange is held. */
  answer(answer: Answer): void;
  /**
   * Ends the exchange with an error. The client's `Accept` decides whether the body is JSON or plain text:
   * `{"status":404,"error":"no_route","message":"..."}`. `code` is snake_case and shows in records.
   * @param headers further fields of the answer, such as `Retry-After`.
   */
  fail(
    status: number,
    code: string,
    message: string,
    headers?: Readonly<Record<string, string>>,
  ): void;
  /** In `onRequest`: makes the exchange wait. Whoever holds it calls `resume`, `answer` or `fail` once. */
  hold(): void;
  /** Ends a `hold`: the engine calls `onRequest` again. Does nothing when the client has gone. */
  resume(): void;
  /** Differs for each request, and changes again when the request is over: compare it before a late `resume`. */
  readonly serial: number;

  /**
   * In `onRequest`: sends the request's body through this tap. The engine keeps the tap's output, not its input, for
   * another try. Does nothing when there is no body; throws when there is a tap already.
   */
  tapRequest(tap: BodyTap): void;

  /** Where the current try goes; `null` before the first try. */
  readonly target: Target | null;
  /** The target's peer. */
  readonly peer: Peer | null;
  /** How many peers were tried so far, the current one included, whether or not anything was sent. */
  readonly tries: number;
  /** How many of these tries may have sent bytes of the request to the peer. */
  readonly triesSent: number;
  /** Whether this exchange tried `peer` already. */
  tried(peer: Peer): boolean;

  /** Status of the answer (the origin's, or the gateway's own); 0 while there is none. */
  readonly status: number;
  /** `code` of `fail`, or `client_closed`, `truncated`...; empty when all went well. */
  readonly errorCode: string;
  /** In `onResponse`: the first value of a header of the origin's answer. */
  responseHeader(name: string): string | undefined;
  setResponseHeader(name: string, value: string): void;
  /** Adds a line, as for a second `Set-Cookie`, and leaves the existing ones. */
  addResponseHeader(name: string, value: string): void;
  removeResponseHeader(name: string): void;
  /** The answer's header lines as they stand now, joined by CR LF: the origin's, with the handler's changes. */
  readonly responseHeaderLines: string;
  /**
   * In `onResponse`: gives the client this answer instead of the origin's. From then on `status` and the response
   * headers are those of the new answer, and the handler may change them too. Throws a `TypeError` that names the
   * header when one is invalid.
   */
  replaceAnswer(answer: Answer): void;
  /**
   * In `onResponse`: drops the origin's answer when the request can be sent to another peer, and calls `onPick` at
   * once. Returns false, and keeps the answer, when the limit of tries is reached, when the body was not kept, when
   * the method or the upstream forbids another try, or when there is no other peer.
   */
  tryAgain(): boolean;
  /**
   * In `onResponse`: sends the answer's body through this tap; its length is no longer announced. The engine does not
   * tap an answer without a body, and an answer to HEAD loses its length. Throws when there is a tap already.
   */
  tapAnswer(tap: BodyTap): void;
  /** Whether the answer's body goes through a tap already; then that tap decides what its bytes are. */
  readonly isAnswerTapped: boolean;

  /** Milliseconds on the engine's clock (monotonic, as coarse as its ticks). */
  readonly startedAtMs: number;
  /** Milliseconds from the arrival of the head to the end of the answer. Set in `onEnd`. */
  readonly durationMs: number;
  /** Body bytes received from the client, and body bytes given to the client. */
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/**
 * The phases of a request's life, in order. The engine calls all of them synchronously. They must not throw; if one
 * does, the engine answers 500 `handler_error`.
 */
export interface Handler<Context> {
  /**
   * The head was read and is valid. Identify the host, rewrite, run plugins, find the route. Return
   * to go on to `onPick`; or call `answer`, `fail` or `hold` first.
   */
  onRequest(exchange: Exchange<Context>): void;
  /**
   * Choose where the next try goes. Return `null` when there is no peer left, after `fail` if the handler has an
   * error of its own. Without one the engine answers 503 before the first try, and 502 or 504 after a failed one.
   */
  onPick(exchange: Exchange<Context>): Target | null;
  /** The head of the origin's final answer was read and is valid; its headers may be changed. */
  onResponse(exchange: Exchange<Context>): void;
  /**
   * A try is over. Called exactly once for each target that `onPick` gave, before the next `onPick` and before
   * `onEnd`. `status`: the status that the peer answered, 0 when no answer came; for a gRPC
   * call, which is answered 200 in any case, the one that stands for its `grpc-status`. `failure`: why there was no complete
   * answer; `null` when there was one, or when nobody waited for it any more. `durationMs`: time since the pick.
   */
  onTryEnd(
    exchange: Exchange<Context>,
    target: Target,
    status: number,
    failure: PeerFailure | null,
    durationMs: number,
  ): void;
  /** The exchange is over, well or not. Record it. Called exactly once for each `onRequest`. */
  onEnd(exchange: Exchange<Context>): void;
}

/** What the engine allows. Times are in milliseconds, sizes in bytes. */
export interface EngineLimits {
  /** A request or answer head, start line included. Above: 431 for a request, 502 for an answer. Default 32768. */
  readonly maxHeadBytes: number;
  /** Header lines of a request. Above: 431. Default 128. */
  readonly maxHeaders: number;
  /** Request target. Above: 414. Default 8192. */
  readonly maxTargetBytes: number;
  /** Request body; 0 for no limit. Above: 413. Default 0. */
  readonly maxBodyBytes: number;
  /** Time from the first byte of a head to its last. Then: 408. Default 10000. */
  readonly headTimeoutMs: number;
  /** How long a client connection is kept open without a request. Default 75000. */
  readonly idleTimeoutMs: number;
  /** Requests on one client connection before the engine closes it; 0 for no limit. Default 10000. */
  readonly maxRequestsPerConnection: number;
  /** Client connections at once, per worker; 0 for no limit. Above: 503. Default 20000. */
  readonly maxConnections: number;
  /** Client connections at once from one address, per worker; 0 for no limit. Default 0. */
  readonly maxConnectionsPerAddress: number;
  /**
   * Whether clients that know that the gateway speaks HTTP/2 may use it without TLS (RFC 9113 section 3.3). The
   * reference engine does not speak HTTP/2. Default true.
   */
  readonly http2: boolean;
  /** Requests at once on one HTTP/2 connection. Above: the engine refuses the stream. Default 128. */
  readonly maxStreams: number;
  /**
   * Whether a client that closes its sending side while it waits still gets its answer. On the wire such a client looks
   * like one that has gone, so by default the engine cancels the request, as nginx does. Default false.
   */
  readonly servesHalfClosed: boolean;
  /**
   * Whether request fields with an underscore in their name are passed on; otherwise they are dropped and
   * counted. Default false, as in nginx.
   */
  readonly underscoresInHeaders: boolean;
  /**
   * Whether request fields are dropped whose names have other characters than letters, digits, hyphens and
   * underscores. Default true.
   */
  readonly ignoreInvalidHeaders: boolean;
  /** Time to establish a connection. Then: another peer, or 504. Default 3000, as in Slardar. */
  readonly connectTimeoutMs: number;
  /** Time from the end of the request to the end of the answer's head. Then: 504. Default 60000. */
  readonly responseTimeoutMs: number;
  /** The exchange ends when no body byte moves either way for so long. Default 60000. */
  readonly bodyTimeoutMs: number;
  /** An upgraded connection is closed when no byte moves either way for so long. Default 3600000. */
  readonly tunnelTimeoutMs: number;
  /** Tries per request that may have sent bytes of it, the first included. Default 2. */
  readonly maxTries: number;
  /** No further try begins so long after the first began; 0 for no limit. Default 5000, as in Slardar. */
  readonly tryTimeoutMs: number;
  /** Idle connections kept per peer. Default 1024. */
  readonly maxIdlePerPeer: number;
  /** Connections to one peer at once, per worker; 0 for no limit. Above: requests wait. Default 1024. */
  readonly maxConnectionsPerPeer: number;
  /**
   * Requests that may wait for a peer's connections, not counting those for which a connection can be opened.
   * Above: another peer, or 503 at once. Default 1024.
   */
  readonly maxWaitingPerPeer: number;
  /** How long such a request waits. Then: 503. Default 5000. */
  readonly queueTimeoutMs: number;
  /** How long a pooled connection is kept open without a request. Default 55000. */
  readonly peerIdleTimeoutMs: number;
}

export const defaultLimits: EngineLimits = {
  maxHeadBytes: 32_768,
  maxHeaders: 128,
  maxTargetBytes: 8_192,
  maxBodyBytes: 0,
  headTimeoutMs: 10_000,
  idleTimeoutMs: 75_000,
  maxRequestsPerConnection: 10_000,
  maxConnections: 20_000,
  maxConnectionsPerAddress: 0,
  http2: true,
  maxStreams: 128,
  servesHalfClosed: false,
  underscoresInHeaders: false,
  ignoreInvalidHeaders: true,
  connectTimeoutMs: 3_000,
  responseTimeoutMs: 60_000,
  bodyTimeoutMs: 60_000,
  tunnelTimeoutMs: 3_600_000,
  maxTries: 2,
  tryTimeoutMs: 5_000,
  maxIdlePerPeer: 1_024,
  maxConnectionsPerPeer: 1_024,
  maxWaitingPerPeer: 1_024,
  queueTimeoutMs: 5_000,
  peerIdleTimeoutMs: 55_000,
};

/** Which path the peer gets: the normal form, by which every decision was made, or the client's own spelling. */
export type ForwardedPath = "normal" | "raw";

export interface EngineOptions<Context> {
  readonly handler: Handler<Context>;
  readonly limits?: Partial<EngineLimits>;
  /**
   * Which path the peer gets when the handler does not set one. A path that it sets is always forwarded. Default
   * `normal`.
   */
  readonly forwardedPath?: ForwardedPath;
  /** Prefix of the request ids that this engine makes: letters, digits and dashes. */
  readonly idPrefix: string;
  /**
   * Whether this address belongs to a trusted proxy, whose forwarding fields and `X-Request-Id` the engine
   * believes. The engine asks once for each connection, and for each hop that a trusted proxy names. Default: no
   * proxy is trusted.
   */
  readonly trusts?: (address: string) => boolean;
  /**
   * Names what is at this address when no peer may be there; `null` when one may. The engine asks once for each
   * connection to a peer, and closes a forbidden one. Default: no address is forbidden.
   */
  readonly forbids?: (address: string, port: number) => string | null;
  /** Receives what a handler threw (the engine has answered 500 by then), and errors from accepting. */
  readonly onError: (error: unknown) => void;
  /** Monotonic milliseconds. Default `performance.now`. */
  readonly now?: () => number;
  /** Default: the engine knows no limit. */
  readonly descriptors?: Descriptors;
  /** What the names in `PeerTls` stand for. Default: nothing. */
  readonly peerMaterials?: PeerMaterials;
  /** By listener number. Default: in clear, without PROXY headers and without limits of its own. */
  readonly listeners?: readonly ListenerOptions[];
}

/** What applies to the connections of one listener. */
export interface ListenerOptions {
  /** Default: in clear. */
  readonly tls?: ListenerTls | null;
  /** Whether connections from this address begin with a PROXY header. Default: none do. */
  readonly proxied?: ((address: string) => boolean) | null;
  /** Connections at once; 0 for no limit. Above: 503, or over TLS the connection is closed. Default 0. */
  readonly maxConnections?: number;
  /** Connections at once from one address; 0 for no limit. Default 0. */
  readonly maxConnectionsPerAddress?: number;
}

/** How many descriptors an engine may use, and what it does when they run short. */
export interface Descriptors {
  /** For clients' and peers' connections together. When clients have half of them, the engine stops accepting. */
  readonly most: number;
  /**
   * The engine stopped accepting and closed the sockets that it inherited. New connections wait in the kernel's
   * queue, which exists as long as another process holds the socket.
   */
  readonly onPause: (most: number) => void;
  /** There is room again: call `listen` with this listener's socket. */
  readonly reopen: (listener: number) => void;
}

/** Live numbers of an engine, as a plain object. */
export interface EngineStats {
  readonly clientConnections: number;
  readonly peerConnections: number;
  readonly exchanges: number;
  /** Since the engine started. */
  readonly requests: number;
  /** How many heads were refused before they became an exchange, by error code. */
  readonly refused: Readonly<Record<string, number>>;
  /** Whose head was refused last, by error code, as far as it is known: the address of the connection's other end. */
  readonly lastRefused: Readonly<Record<string, string>>;
  /** How many header and trailer lines of requests were dropped for their names since the engine started. */
  readonly droppedHeaders: number;
}

/** A bound socket that this process got when it started. */
export interface Inherited {
  /**
   * File descriptors of the same socket. libuv accepts one connection from each in a turn of the event loop, so
   * with several of them a client waits for fewer turns when turns are long.
   */
  readonly descriptors: readonly number[];
  /** Connections that may wait to be accepted. */
  readonly backlog: number;
}

/** A bound socket that another process sent to this one. */
export interface Reopened {
  /** Node's own handle, as `process.on("message")` gives it. */
  readonly handle: object;
  /** Connections that may wait to be accepted. */
  readonly backlog: number;
}

export interface Engine {
  /**
   * Starts to accept at one more address. `listener` (default 0) is a small number that the caller chooses and that
   * exchanges show. Rejects with the socket's error (`EADDRINUSE`...); then the engine accepts nowhere any more.
   */
  listen(where: ListenOptions | Inherited | Reopened, listener?: number): Promise<AddressInfo>;
  /**
   * Stops accepting, closes idle connections, and lets running exchanges finish with `Connection: close`. After
   * `deadlineMs` it cuts those that still run. Resolves, once the last is over, to how many it cut.
   */
  drain(deadlineMs: number): Promise<number>;
  /** Nobody uses the peer any more: the engine closes its idle connections now and its busy ones when they end. */
  retire(peer: Peer): void;
  stats(): EngineStats;
}
