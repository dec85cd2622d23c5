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
export {
  type PeerProtocol,
  type PeerTls,
  type Retries,
  Target,
  type TargetOptions,
} from "./target.ts";

/** An answer that the gateway gives by itself, without an origin. */
export interface Answer {
  /** 200 to 599. */
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** Sent as UTF-8 when a string. Default: empty. */
  readonly body?: string | Buffer;
}

/** Why a try on a peer did not bring a whole answer. */
export type FailureCode =
  /** The connection was refused, reset or unreachable before it was established. */
  | "connect_failed"
  /** The connection was not established in time. */
  | "connect_timeout"
  /** The peer closed or reset the connection before a whole answer head. */
  | "reset"
  /** No answer head in time. */
  | "response_timeout"
  /** The peer says that it did not process the request (RFC 9113 section 8.7). */
  | "refused"
  /** The answer breaks RFC 9112 or RFC 9113 and is not passed on. */
  | "bad_response"
  /** The gateway or its machine has no descriptor, port or memory left to connect with. */
  | "no_resources"
  /** It waited for a connection attempt that another request was told of. */
  | "connect_overdue"
  /** Too many requests wait for the peer's connections already. */
  | "queue_full"
  /** It waited too long for one of the peer's connections. */
  | "queue_timeout";

/** What says nothing about the peer: of one failed connection attempt exactly one exchange is told. */
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
 * One request and its answer on their way through the gateway. The engine makes it and owns it: it
 * is valid until `onEnd` returned, and may then be reused for another request, so nothing may keep it.
 *
 * Header names are compared without regard to case. Values are latin1 strings, as on the wire.
 * Setting a header checks the grammar of RFC 9110 section 5.5 and throws a `TypeError` that names
 * the header; a header that belongs to the engine (framing, hop-by-hop; see `isEngineHeader`) throws too.
 */
export interface Exchange<Context> {
  /** The handler's own state for this request; `null` when the exchange starts. */
  context: Context | null;

  /** Unique in the cluster: a prefix of the worker's and a counter. A trusted client's id is kept. */
  readonly id: string;
  readonly method: string;
  /** That of the connection or, when a trusted proxy sent the request, the one that it was asked with. */
  readonly scheme: "http" | "https";
  /**
   * The client's address as the socket has it or, when a trusted proxy sent the request, as that proxy
   * says: the right-most address of `X-Forwarded-For` or `Forwarded` that is no trusted proxy's.
   */
  readonly clientAddress: string;
  /** Where the client's connection came in: the number that `Engine.listen` was given with the address. */
  readonly listener: number;
  /** The socket's address when it is a trusted proxy's, otherwise empty. */
  readonly proxyAddress: string;
  /** How the client's connection is encrypted; `null`: it is not. */
  readonly tls: ClientTls | null;
  /** The `Host` to forward, as the client wrote it, with its port; set it to forward another. */
  authority: string;
  /** The `Host` of the next try where it is not `authority`; empty: it is. Set in `onPick`. */
  sentAuthority: string;
  /** `authority` for looking up: lower case, without port and trailing dot. Follows `authority`. */
  readonly host: string;
  /**
   * From the first `/` to the `?`, in normal form (`path.ts`): what everything decides by. Setting checks
   * it (throws a `TypeError`) and brings it into normal form.
   */
  path: string;
  /** The path as the client wrote it. */
  readonly rawPath: string;
  /**
   * Whether `path` has `%2F`, `%5C` or a backslash, which some readers take for a slash. Follows `path`.
   */
  readonly hasEncodedSlash: boolean;
  /** What follows the first `?`, without it; empty when there is none. Setting checks it. */
  query: string;
  /** Whether the request has a body (a length above 0 or chunked). */
  readonly hasBody: boolean;

  /** The first value of a request header, or `undefined`. */
  header(name: string): string | undefined;
  /** Replaces every value of a request header. */
  setHeader(name: string, value: string): void;
  /** `X-Forwarded-For`, `-Proto` and `-Host` too: then the origin is not told. */
  removeHeader(name: string): void;
  /**
   * The header lines as the client sent them, joined by CR LF, before any change; for lazy decoding.
   * Without those that nobody is to see: odd names, and forwarding fields of anyone but a trusted proxy.
   */
  readonly rawHeaders: string;
  /** The same as they stand now: with the handler's changes, and without what `Connection` names. */
  readonly headerLines: string;
  /**
   * Names, in lower case, of trailer fields of the request that are passed on; `null`: none, as when the
   * exchange starts. Set by the handler in `onRequest`.
   */
  trailers: ReadonlySet<string> | null;

  /** Ends the exchange with this answer; in `onRequest`, `onPick`, or while it is held. */
  answer(answer: Answer): void;
  /**
   * Ends the exchange with an error. The body is JSON or plain text by the client's `Accept`:
   * `{"status":404,"error":"no_route","message":"..."}`. `code` is snake_case and shows in records.
   * @param headers more fields of the answer, such as `Retry-After`.
   */
  fail(
    status: number,
    code: string,
    message: string,
    headers?: Readonly<Record<string, string>>,
  ): void;
  /** In `onRequest`: do not go on yet. The holder calls `resume` once, or `answer` or `fail`. */
  hold(): void;
  /** Goes on from `hold`: `onRequest` is called again. Does nothing when the client has gone. */
  resume(): void;
  /** Another number for each request, and another again once it is over: compare before a late `resume`. */
  readonly serial: number;

  /**
   * In `onRequest`: the request's body goes through this tap. What comes out of it is what is held for another
   * try. Does nothing when there is no body; throws when there is a tap already.
   */
  tapRequest(tap: BodyTap): void;

  /** Where the current try goes; `null` before the first. */
  readonly target: Target | null;
  /** The target's peer. */
  readonly peer: Peer | null;
  /** How many peers were tried so far, the current one included, whether or not anything was sent. */
  readonly tries: number;
  /** Those of them in which bytes of the request may have reached the peer. */
  readonly triesSent: number;
  /** Whether `peer` was already tried for this exchange. */
  tried(peer: Peer): boolean;

  /** Status of the answer (the origin's, or the gateway's own); 0 as long as there is none. */
  readonly status: number;
  /** `code` of `fail`, or `client_closed`, `truncated`...; empty when all went well. */
  readonly errorCode: string;
  /** In `onResponse`: the first value of a header of the origin's answer. */
  responseHeader(name: string): string | undefined;
  setResponseHeader(name: string, value: string): void;
  /** One more line, as for a second `Set-Cookie`; those that are there stay. */
  addResponseHeader(name: string, value: string): void;
  removeResponseHeader(name: string): void;
  /** The answer's header lines as they stand now, joined by CR LF: as the origin sent them, with the handler's changes. */
  readonly responseHeaderLines: string;
  /**
   * In `onResponse`: the client gets this answer instead of the origin's. From here on `status` and the response
   * headers are those of the new answer, and may be changed like the origin's. Throws a `TypeError` that names a
   * header which is not valid.
   */
  replaceAnswer(answer: Answer): void;
  /**
   * In `onResponse`: drops the origin's answer when the request can be sent to another peer; `onPick` is called at
   * once. False, and the answer stays: the request was sent too often, its body is no longer there, its
   * method or its upstream does not allow it, or there is no other peer.
   */
  tryAgain(): boolean;
  /**
   * In `onResponse`: the answer's body goes through this tap, and has no announced length any more. An answer
   * without a body is not tapped, one to HEAD loses its length. Throws when there is a tap already.
   */
  tapAnswer(tap: BodyTap): void;
  /** Whether the answer's body goes through a tap already: what its bytes are is that one's to say. */
  readonly isAnswerTapped: boolean;

  /** Milliseconds of the engine's clock (monotonic, coarse to the event-loop turn). */
  readonly startedAtMs: number;
  /** Milliseconds from the head's arrival to the end of the answer; in `onEnd`. */
  readonly durationMs: number;
  /** Body bytes taken from the client and given to the client. */
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/**
 * The phases of a request's life, in order. All are called synchronously by the engine and must not
 * throw; a handler that throws all the same ends the exchange with 500 `handler_error`.
 */
export interface Handler<Context> {
  /**
   * The head was read and is valid. Identify the host, rewrite, run plugins, find the route. Return
   * to go on to `onPick`; or call `answer`, `fail` or `hold` first.
   */
  onRequest(exchange: Exchange<Context>): void;
  /**
   * Choose where the next try goes. `null` when there is no peer left: the handler may have called
   * `fail`; if it did not, the engine answers 503 before the first try, 502 or 504 after a failed one.
   */
  onPick(exchange: Exchange<Context>): Target | null;
  /** The head of the origin's final answer was read and is valid; its headers may be changed. */
  onResponse(exchange: Exchange<Context>): void;
  /**
   * A try is over: called exactly once for each target that `onPick` gave, before the next `onPick` and before
   * `onEnd`. `status`: that of the peer's answer, 0 when none came. `failure`: why there was no whole answer;
   * `null` when there was one, or when nobody waited for it any more. `durationMs`: since it was picked.
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

/** What the engine allows. Times in milliseconds, sizes in bytes. */
export interface EngineLimits {
  /** Request and response head, start line included. Above: 431, or 502 for an answer. Default 32768. */
  readonly maxHeadBytes: number;
  /** Header lines of a request. Above: 431. Default 128. */
  readonly maxHeaders: number;
  /** Request target. Above: 414. Default 8192. */
  readonly maxTargetBytes: number;
  /** Request body; 0 for no limit. Above: 413. Default 0. */
  readonly maxBodyBytes: number;
  /** From the first byte of a head to its end. Then: 408. Default 10000. */
  readonly headTimeoutMs: number;
  /** A kept connection without a request is closed after this. Default 75000. */
  readonly idleTimeoutMs: number;
  /** Requests on one client connection, which then is closed; 0 for no limit. Default 10000. */
  readonly maxRequestsPerConnection: number;
  /** Client connections at once, per worker; 0 for no limit. Above: 503. Default 20000. */
  readonly maxConnections: number;
  /** The same from one address; 0 for no limit. Default 0. */
  readonly maxConnectionsPerAddress: number;
  /**
   * Whether clients may speak HTTP/2 without TLS, knowing that the gateway does (RFC 9113 section 3.3). The
   * reference engine speaks none. Default true.
   */
  readonly http2: boolean;
  /** Requests at once on one connection that speaks HTTP/2. Above: the stream is refused. Default 128. */
  readonly maxStreams: number;
  /**
   * A client that closes its sending side while it waits is served; otherwise it counts as gone and its
   * request is cancelled, as nginx does: on the wire the two look the same. Default false.
   */
  readonly servesHalfClosed: boolean;
  /**
   * Whether request fields with an underscore in their name are passed on; otherwise they are dropped and
   * counted. Default false, as in nginx.
   */
  readonly underscoresInHeaders: boolean;
  /** The same for any other name that is not of letters, digits and hyphens; true drops. Default true. */
  readonly ignoreInvalidHeaders: boolean;
  /** Default 3000, as Slardar has it. Then another peer, or 504. */
  readonly connectTimeoutMs: number;
  /** From the whole request sent to the answer's head. Then 504. Default 60000. */
  readonly responseTimeoutMs: number;
  /** No body byte either way for this long ends the exchange. Default 60000. */
  readonly bodyTimeoutMs: number;
  /** No byte either way for this long closes an upgraded connection. Default 3600000. */
  readonly tunnelTimeoutMs: number;
  /** Tries per request in which bytes of it may have been sent, the first included. Default 2. */
  readonly maxTries: number;
  /** This long after the first try began no other begins; 0 for no limit. Default 5000, as Slardar has it. */
  readonly tryTimeoutMs: number;
  /** Idle connections kept per peer. Default 1024. */
  readonly maxIdlePerPeer: number;
  /** Connections to a peer at once, per worker; 0 for no limit. Above, requests wait. Default 1024. */
  readonly maxConnectionsPerPeer: number;
  /**
   * Requests that may wait for a peer's connections beyond those that can be opened for them. Above: another
   * peer, or 503 at once. Default 1024.
   */
  readonly maxWaitingPerPeer: number;
  /** How long such a request waits. Then 503. Default 5000. */
  readonly queueTimeoutMs: number;
  /** A pooled connection without a request is closed after this. Default 55000. */
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

/** Which path goes to a peer: the one that everything was decided by, or what the client wrote. */
export type ForwardedPath = "normal" | "raw";

export interface EngineOptions<Context> {
  readonly handler: Handler<Context>;
  readonly limits?: Partial<EngineLimits>;
  /** What a handler sets is forwarded in either case. Default `normal`. */
  readonly forwardedPath?: ForwardedPath;
  /** Prefix of the request ids that this engine makes; letters, digits and dashes. */
  readonly idPrefix: string;
  /**
   * Whether this address is a proxy's whose forwarding fields and `X-Request-Id` are to be believed; asked
   * once for each connection, and for the hops that a trusted proxy names. Default: nobody is.
   */
  readonly trusts?: (address: string) => boolean;
  /**
   * What is at this address, if no peer may be there; asked once for each connection, which then is no peer's.
   * Default: nothing is.
   */
  readonly forbids?: (address: string, port: number) => string | null;
  /** Told of what a handler threw (the exchange has been answered with 500 by then) or accepting failed with. */
  readonly onError: (error: unknown) => void;
  /** Monotonic milliseconds. Default `performance.now`. */
  readonly now?: () => number;
  /** Default: no limit is known. */
  readonly descriptors?: Descriptors;
  /** What targets name for TLS. Default: nothing. */
  readonly peerMaterials?: PeerMaterials;
  /** By the numbers of the listeners. Default: in clear, from clients themselves, without limits of their own. */
  readonly listeners?: readonly ListenerOptions[];
}

/** What holds for the connections of one listener. */
export interface ListenerOptions {
  /** Default: in clear. */
  readonly tls?: ListenerTls | null;
  /** Whether connections from this address begin with a PROXY header. Default: nobody's do. */
  readonly proxied?: ((address: string) => boolean) | null;
  /** Connections at once; 0 for no limit. Above: 503, over TLS the connection is closed. Default 0. */
  readonly maxConnections?: number;
  /** The same from one address. Default 0. */
  readonly maxConnectionsPerAddress?: number;
}

/** How many descriptors an engine may use, and what it does when they are short. */
export interface Descriptors {
  /** For connections of clients and peers together. When clients have half of them, accepting stops. */
  readonly most: number;
  /**
   * Accepting stopped: the sockets that were inherited are closed here, and new connections wait in the kernel's
   * queue, which whoever else holds the socket keeps.
   */
  readonly onPause: (most: number) => void;
  /** There is room again: `listen` is to be called with the socket of this listener. */
  readonly reopen: (listener: number) => void;
}

/** Live numbers of an engine, as a plain object. */
export interface EngineStats {
  readonly clientConnections: number;
  readonly peerConnections: number;
  readonly exchanges: number;
  /** Since the engine started. */
  readonly requests: number;
  /** Heads that were refused before they became an exchange, by error code. */
  readonly refused: Readonly<Record<string, number>>;
  /** Header and trailer lines of requests that were dropped because of their names, since the engine started. */
  readonly droppedHeaders: number;
}

/** A bound socket that this process was started with. */
export interface Inherited {
  /**
   * File descriptors of the one socket. libuv accepts one connection in a turn of the event loop from each, so
   * several of them shorten the wait of a client that comes while the turns are long.
   */
  readonly descriptors: readonly number[];
  /** Connections that may wait to be accepted. */
  readonly backlog: number;
}

/** A bound socket that this process was sent. */
export interface Reopened {
  /** Node's own handle, as `process.on("message")` gives it. */
  readonly handle: object;
  /** Connections that may wait to be accepted. */
  readonly backlog: number;
}

export interface Engine {
  /**
   * Starts to accept there too. Exchanges show `listener`, a small number of the caller's (default 0). Rejects
   * with the socket's error (`EADDRINUSE`...); then the engine accepts nowhere any more.
   */
  listen(where: ListenOptions | Inherited | Reopened, listener?: number): Promise<AddressInfo>;
  /**
   * Stops accepting, closes idle connections, lets running exchanges finish with `Connection: close`
   * and resolves when the last has; what still runs after `deadlineMs` is cut. Resolves to how many were cut.
   */
  drain(deadlineMs: number): Promise<number>;
  /** The peer serves nobody any more: its idle connections are closed, busy ones when they end. */
  retire(peer: Peer): void;
  stats(): EngineStats;
}
