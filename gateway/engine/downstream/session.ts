/** A client's connection, whatever its protocol, and what it needs from the engine that accepted it. */
import type { Socket } from "node:net";
import type { Clock } from "../clock.ts";
import type { Counters } from "../counters.ts";
import type { EngineLimits } from "../engine.ts";
import type { OpenExchange } from "../exchange/ports.ts";
import type { TrustedProxy } from "../message/forwarding.ts";
import type { Refusal } from "../message/grammar.ts";
import type { ClientTls } from "../tls.ts";

/** The connection, as the engine's set of connections sees it. */
export interface ClientSession {
  readonly address: string;
  /** Whether a sender opened it that has still to say for whom. Until then, no limit for an address holds for it. */
  readonly isForAnother?: boolean;
  /** The number of the listener that accepted it. */
  readonly listener: number;
  /** Whether it counts against the engine's limits. The engine sets this. */
  isAdmitted: boolean;
  /**
   * Looks at its deadlines, and at those of its exchanges. Called several times a second; `now` is the engine's
   * clock.
   */
  onTick(now: number): void;
  /** Checks whether a client that is not being read has gone. */
  probe(): void;
  /** The engine stops: one more request may come until `graceEnd`. */
  onDrainStart(graceEnd: number): void;
  /** Answers before any request has come, and closes. */
  refuse(refusal: Refusal): void;
  destroy(): void;
}

/** Who is at the other end of a connection. */
export interface ClientOrigin {
  readonly address: string;
  /** The number of the listener that accepted the connection. */
  readonly listener: number;
  readonly scheme: "http" | "https";
  /** `null`: the connection is in clear. */
  readonly tls: ClientTls | null;
  /** The lines `X-Forwarded-For` and `X-Forwarded-Proto` for a client without a trusted proxy. */
  readonly forwardedLine: string;
  /** The client as a trusted proxy; `null` when it is none. */
  readonly proxy: TrustedProxy | null;
}

/** The engine, as a client's connection sees it. */
export interface ClientHost {
  readonly clock: Clock;
  readonly limits: EngineLimits;
  readonly counters: Counters;
  readonly isDraining: boolean;
  readonly openExchange: OpenExchange;
  /**
   * A connection began with the preface of HTTP/2. `first` holds the bytes that came, from the preface on. `before`
   * has let go of the socket and has no further part.
   */
  beginHttp2(before: ClientSession, socket: Socket, first: Buffer, client: ClientOrigin): void;
  /** The connection is closed. */
  remove(session: ClientSession): void;
}

/** `trusts`: on a trusted proxy's connection, tells which other addresses are trusted; `null` on any other. */
export function originOf(
  address: string,
  listener: number,
  tls: ClientTls | null,
  trusts: ((address: string) => boolean) | null,
): ClientOrigin {
  const scheme = tls === null ? "http" : "https";
  return {
    address,
    listener,
    scheme,
    tls,
    forwardedLine: `X-Forwarded-For: ${address}\r\nX-Forwarded-Proto: ${scheme}\r\n`,
    proxy: trusts === null ? null : { address, scheme, trusts },
  };
}

/**
 * Ends a connection so that its client sees that the answer is incomplete. Over TLS no reset can be sent, and none is
 * needed: the client misses the alert that ends a complete answer (RFC 8446 section 6.1).
 */
export function resetConnection(socket: Socket, tls: ClientTls | null): void {
  if (tls === null) socket.resetAndDestroy();
  else socket.destroy();
}
