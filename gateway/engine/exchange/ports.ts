/**
 * What an exchange asks of the wires on either side of it, and what they tell it. A wire turns bytes into these
 * calls and back; it decides nothing about tries, deadlines, errors or the order of phases. An exchange knows no
 * socket and no protocol: whatever implements these interfaces can carry it, a test's fakes included.
 *
 * All calls are synchronous and may come from within one another: a wire must have put its own state in order
 * before it tells anything, because the exchange may end, and the next one begin, before the call returns.
 */
import type { PeerFailure, Target } from "../engine.ts";
import type { RequestHead } from "../message/request-head.ts";
import type { ResponseHead } from "../message/response-head.ts";
import type { ClientTls } from "../tls.ts";

/**
 * Why an answer is cut off.
 * `truncated`: its rest will not come. `late`: the client does not take it. `broken`: the client's own request
 * turned out malformed, too large or too late when the answer had begun.
 */
export type CutReason = "truncated" | "late" | "broken";

/** The client's side of one request: takes the answer. One object may serve one request after the other. */
export interface Downstream {
  /** The client's address as the socket has it. */
  readonly address: string;
  /** Where the connection was accepted: the number that `Engine.listen` was given. */
  readonly listener: number;
  readonly scheme: "http" | "https";
  /** `null`: the connection is in clear. */
  readonly tls: ClientTls | null;
  /** The lines `X-Forwarded-For` and `X-Forwarded-Proto` for a client that nobody speaks for, made once. */
  readonly forwardedLine: string;
  /** Bytes that were given to be written and have not left yet: shrinks while the client takes them. */
  readonly unsentBytes: number;

  /** An interim answer (1xx), for a client that knows them. False: no room, `onDrain` follows. */
  sendInterim(head: ResponseHead): boolean;
  /** A whole answer in one call: its head and its body, which may be empty, as latin1 text. Nothing follows. */
  sendWhole(head: ResponseHead, body: string): void;
  /**
   * The head of an answer whose body follows in pieces and ends with `sendEnd`. `isFollowed`: the first piece comes before
   * anything else can happen, so that a wire may send both at once.
   */
  sendHead(head: ResponseHead, isFollowed: boolean): void;
  /** Never empty. False: no room, `onDrain` follows; what the peer's wire has read already still comes. */
  sendData(piece: Buffer): boolean;
  /**
   * The answer is whole. `trailer`: field lines that may be sent, each with its CR LF; empty when there are none.
   * Of an upgraded connection: the peer sends nothing more, the client still may.
   */
  sendEnd(trailer: string): void;
  /** The protocol is switched: from now on `sendData` and `onData` are bytes of another protocol. */
  sendUpgrade(head: ResponseHead): void;
  /** Ends the answer so that the client sees that it is not whole. */
  cut(reason: CutReason): void;
  /** There is room for the request's body again, after `onData` returned false. May come though nothing was held. */
  resume(): void;
  /**
   * The exchange is over, and the wire may begin it again: from within this call, or later. Called exactly once
   * for each `begin`, after whatever was to be sent was sent; a request whose body has not ended is not read on.
   */
  release(): void;
}

/** What a downstream wire tells the exchange of its client. */
export interface DownstreamEvents {
  /**
   * A request's head has been read into the head that the exchange was made with. `body`: the whole body when it
   * came along, and no `onData` or `onEnd` follows; otherwise `null`: the body follows if the head says that
   * there is one.
   */
  begin(body: Buffer | null): void;
  /** Body bytes `buffer[from, to)`. False: there is no room for more before `Downstream.resume`. */
  onData(buffer: Buffer, from: number, to: number): boolean;
  /**
   * The body is whole. `trailer`: its trailer's field lines as they came, each with its CR LF.
   * Of an upgraded connection: the client sends nothing more.
   */
  onEnd(trailer: string): void;
  /** The request's body is malformed or too large: the client is told so if it still can be. */
  onBroken(status: number, code: string, message: string): void;
  /** The client has gone, or nothing more can be sent to it. The wire sends nothing more, whatever follows. */
  onGone(): void;
  /** There is room for the answer again. */
  onDrain(): void;
  /** Looks at the exchange's deadlines; `now` is the engine's clock. Called some times a second. */
  onTick(now: number): void;
}

/** Makes the exchange of a downstream. `head` is the wire's own, which it reads each request into. */
export type OpenExchange = (downstream: Downstream, head: RequestHead) => DownstreamEvents;

/** One request on its way to a peer, as the wire to that peer sees it: what to send, and whom to tell. */
export interface UpstreamRequest extends UpstreamEvents {
  readonly head: RequestHead;
  /** Into this the wire reads the head of the answer, interim ones too. */
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
  /** Of the body that is sent; -1: none was announced. */
  readonly bodyLength: number;
  /** Whether a body of unknown length is sent. */
  readonly isStreamed: boolean;
}

/** The peer's side of one try: takes the request, and tells of the answer. */
export interface UpstreamStream {
  /** Whether its connection was kept from an earlier request: it may have been closed just now. */
  readonly isReused: boolean;
  /** Whether a byte of an answer to this request has come. */
  readonly hasAnswered: boolean;

  /**
   * Sends the head and these pieces of the body. `isWhole`: nothing follows; otherwise `sendData` and `sendEnd` do.
   * `trailer` is that of a whole request. False: no room, `onDrain` follows.
   */
  send(pieces: readonly Buffer[], isWhole: boolean, trailer: string): boolean;
  /** Never empty. False: no room; `onDrain` follows. */
  sendData(piece: Buffer): boolean;
  /** The request is whole. Of an upgraded connection: the client sends nothing more. */
  sendEnd(trailer: string): void;
  /** The client is slower than the peer: nothing of the answer is told before `resume`. */
  pause(): void;
  resume(): void;
  /** The answer is not wanted any more: nothing more is told. */
  abort(): void;
}

/** What the wire to a peer tells of a try. */
export interface UpstreamEvents {
  /** A stream to the peer is there; `send` is to be called. Perhaps before `Connector.open` returned. */
  onStream(stream: UpstreamStream): void;
  /** There will be no stream: connecting failed, or the wait was too long. */
  onNoStream(failure: PeerFailure): void;
  /** `answerHead` is an interim answer's, other than 101. */
  onInterim(): void;
  /** The whole answer is there: `answerHead`, and its body as latin1 text. The stream is over. */
  onAnswer(body: string): void;
  /** `answerHead` is the final answer's; its body follows. `isFollowed`: a piece of it comes right after this call. */
  onHead(isFollowed: boolean): void;
  /** Body bytes `buffer[from, to)` of the answer or, after `onUpgrade`, of the other protocol. */
  onAnswerData(buffer: Buffer, from: number, to: number): void;
  /**
   * The answer is whole, and the stream is over. `trailer`: field lines as they came.
   * After `onUpgrade`: the peer sends nothing more, and the stream goes on.
   */
  onAnswerEnd(trailer: string): void;
  /** The peer switched to a protocol that was offered; `first` is what came behind its head. */
  onUpgrade(first: Buffer): void;
  /** The peer has room for more of the request. */
  onPeerDrain(): void;
  /** The stream is over without a whole answer: `code` is `reset` or `bad_response`. */
  onFailed(failure: PeerFailure): void;
}

/** Where streams to peers come from. */
export interface Connector {
  /**
   * Finds a stream to the target's peer, or has the request wait for one: `onStream` or `onNoStream` is called,
   * perhaps before this returns. `wantsNew`: a kept connection will not do. False: too many wait already.
   */
  open(request: UpstreamRequest, target: Target, wantsNew: boolean): boolean;
  /** The request waits no longer. */
  leave(request: UpstreamRequest, target: Target): void;
}
