/**
 * What an exchange asks of the wires on either side, and what they tell it. A wire turns bytes into these calls and
 * back; it decides nothing about tries, deadlines, errors or the order of phases. An exchange knows no socket and
 * no protocol, so whatever implements these interfaces can carry it, including a test's fakes.
 *
 * All calls are synchronous and may come from within one another. A wire must put its own state in order before it
 * tells the exchange anything, because the exchange may end, and the next one begin, before the call returns.
 */
import type { PeerFailure, Target } from "../engine.ts";
import type { RequestHead } from "../message/request-head.ts";
import type { ResponseHead } from "../message/response-head.ts";
import type { ClientTls } from "../tls.ts";

/**
 * Why an answer is cut off. `truncated`: the rest of it will not come. `late`: the client does not take it.
 * `broken`: after the answer had begun, the client's own request turned out malformed, too large or too late. `reset`:
 * the peer cut an upgraded connection off.
 */
export type CutReason = "truncated" | "late" | "broken" | "reset";

/** The client's side of one request: takes the answer. One object may serve several requests in turn. */
export interface Downstream {
  /** The client's address as the socket has it. */
  readonly address: string;
  /** Where the connection was accepted: the number that `Engine.listen` was given. */
  readonly listener: number;
  readonly scheme: "http" | "https";
  /** `null`: the connection is in clear. */
  readonly tls: ClientTls | null;
  /** The lines `X-Forwarded-For` and `X-Forwarded-Proto` for a client without a trusted proxy, made once. */
  readonly forwardedLine: string;
  /** Bytes that were given to be written and have not left yet. The number shrinks while the client takes them. */
  readonly unsentBytes: number;

  /**
   * Sends an interim answer (1xx), if the client knows them. Returns false when there is no room; `onDrain`
   * follows.
   */
  sendInterim(head: ResponseHead): boolean;
  /** Sends a whole answer: its head and its body, which is latin1 text and may be empty. Nothing follows. */
  sendWhole(head: ResponseHead, body: string): void;
  /**
   * Sends the head of an answer whose body follows in pieces and ends with `sendEnd`. `isFollowed`: the first piece
   * comes before anything else can happen, so a wire may send both at once.
   */
  sendHead(head: ResponseHead, isFollowed: boolean): void;
  /**
   * `piece` is never empty. Returns false when there is no room; `onDrain` follows. Pieces that the peer's wire has
   * already read still come.
   */
  sendData(piece: Buffer): boolean;
  /**
   * The answer is complete. `trailer`: field lines to send, each with its CR LF; empty when there are none. On an
   * upgraded connection: the peer sends nothing more, but the client still may.
   */
  sendEnd(trailer: string): void;
  /** Switches the protocol: from now on `sendData` and `onData` carry bytes of another protocol. */
  sendUpgrade(head: ResponseHead): void;
  /** Ends the answer in such a way that the client sees that it is incomplete. */
  cut(reason: CutReason): void;
  /**
   * There is room for the request's body again, after `onData` returned false. May come although nothing was held.
   */
  resume(): void;
  /**
   * The exchange is over, and the wire may begin it again from within this call or later. Called exactly once for
   * each `begin`, after everything that had to be sent was sent. The wire does not read the rest of an unfinished
   * body.
   */
  release(): void;
}

/** What a downstream wire tells the exchange about its client. */
export interface DownstreamEvents {
  /**
   * The wire has read a request's head into the head that the exchange was made with. `body`: the whole body when
   * it came along; then no `onData` or `onEnd` follows. `null`: the body follows if the head says that there is
   * one.
   */
  begin(body: Buffer | null): void;
  /** Body bytes `buffer[from, to)`. Returns false when there is no room for more before `Downstream.resume`. */
  onData(buffer: Buffer, from: number, to: number): boolean;
  /**
   * The body is complete. `trailer`: the field lines of its trailer as they came, each with its CR LF. On an
   * upgraded connection: the client sends nothing more.
   */
  onEnd(trailer: string): void;
  /** The request's body is malformed or too large. The exchange tells the client if it still can. */
  onBroken(status: number, code: string, message: string): void;
  /**
   * The client has gone, or nothing more can be sent to it. The wire sends nothing more, whatever the exchange
   * asks.
   */
  onGone(): void;
  /** There is room for the answer again. */
  onDrain(): void;
  /** Looks at the exchange's deadlines; `now` is the engine's clock. Called several times a second. */
  onTick(now: number): void;
}

/** Makes the exchange for a downstream. `head` belongs to the wire, which reads each request into it. */
export type OpenExchange = (downstream: Downstream, head: RequestHead) => DownstreamEvents;

/** One request on its way to a peer, as the wire to that peer sees it: what to send, and what to report. */
export interface UpstreamRequest extends UpstreamEvents {
  readonly head: RequestHead;
  /** The wire reads the head of each answer into this, interim ones too. */
  readonly answerHead: ResponseHead;
  /** The target to send: path and query. */
  readonly targetText: string;
  /** The `Host` to send. */
  readonly authority: string;
  readonly id: string;
  /** Names of trailer fields that may follow; `null`: none. */
  readonly trailers: ReadonlySet<string> | null;
  /** As in `Downstream`. */
  readonly address: string;
  readonly scheme: "http" | "https";
  readonly forwardedLine: string;
  /** Length of the body to send; -1: none was announced. */
  readonly bodyLength: number;
  /** Whether a body of unknown length has to be sent. */
  readonly isStreamed: boolean;
}

/** The peer's side of one try: takes the request, and reports the answer. */
export interface UpstreamStream {
  /** Whether its connection was kept from an earlier request; the peer may just have closed such a connection. */
  readonly isReused: boolean;
  /** Whether a byte of an answer to this request has come. */
  readonly hasAnswered: boolean;

  /**
   * Sends the head and these pieces of the body. `isWhole`: nothing follows; otherwise `sendData` and `sendEnd` do.
   * `trailer` belongs to a whole request. Returns false when there is no room; `onDrain` follows.
   */
  send(pieces: readonly Buffer[], isWhole: boolean, trailer: string): boolean;
  /** `piece` is never empty. Returns false when there is no room; `onDrain` follows. */
  sendData(piece: Buffer): boolean;
  /** The request is complete. On an upgraded connection: the client sends nothing more. */
  sendEnd(trailer: string): void;
  /**
   * The client is slower than the peer, which gets leave to send more only with `resume`. What it had leave for already
   * may still be reported.
   */
  pause(): void;
  resume(): void;
  /** Nobody wants the answer any more: the wire reports nothing more. */
  abort(): void;
}

/** What the wire to a peer reports about a try. */
export interface UpstreamEvents {
  /** There is a stream to the peer; call `send`. May come before `Connector.open` returns. */
  onStream(stream: UpstreamStream): void;
  /** There will be no stream: the connection failed, or the wait was too long. */
  onNoStream(failure: PeerFailure): void;
  /** `answerHead` holds an interim answer, other than 101. */
  onInterim(): void;
  /** The whole answer is there: `answerHead`, and its body as latin1 text. The stream is over. */
  onAnswer(body: string): void;
  /**
   * `answerHead` holds the final answer; its body follows. `isFollowed`: a piece of it follows right after this
   * call.
   */
  onHead(isFollowed: boolean): void;
  /** Body bytes `buffer[from, to)` of the answer or, after `onUpgrade`, of the other protocol. */
  onAnswerData(buffer: Buffer, from: number, to: number): void;
  /**
   * The answer is complete, and the stream is over. `trailer`: field lines as they came. After `onUpgrade`: the
   * peer sends nothing more, and the stream goes on.
   */
  onAnswerEnd(trailer: string): void;
  /** The peer switched to a protocol that the request offered; `first` holds the bytes that came after its head. */
  onUpgrade(first: Buffer): void;
  /** The peer has room for more of the request. */
  onPeerDrain(): void;
  /** The stream is over without a complete answer: `code` is `reset` or `bad_response`. */
  onFailed(failure: PeerFailure): void;
}

/** Where exchanges get streams to peers from. */
export interface Connector {
  /**
   * Finds a stream to the target's peer, or has the request wait for one. It calls `onStream` or `onNoStream`,
   * perhaps before it returns. `wantsNew`: a kept connection will not do. Returns false when too many requests wait
   * already.
   */
  open(request: UpstreamRequest, target: Target, wantsNew: boolean): boolean;
  /** The request waits no longer. */
  leave(request: UpstreamRequest, target: Target): void;
}
