/** A client's connection, whatever it speaks, and what it finds in the engine that accepted it. */
import type { Socket } from "node:net";
import type { Clock } from "../clock.ts";
import type { Counters } from "../counters.ts";
import type { EngineLimits } from "../engine.ts";
import type { OpenExchange } from "../exchange/ports.ts";
import type { TrustedProxy } from "../message/forwarding.ts";
import type { Refusal } from "../message/grammar.ts";
import type { ClientTls } from "../tls.ts";

/** The connection, as the engine's set of them sees it. */
export interface ClientSession {
  readonly address: string;
  /** Where it was accepted. */
  readonly listener: number;
  /** Whether it counts among those that the engine may have; set by the engine. */
  isAdmitted: boolean;
  /** Some times a second: looks at its deadlines, and at those of its exchanges. `now` is the engine's clock. */
  onTick(now: number): void;
  /** Looks whether a client that is not read now has gone. */
  probe(): void;
  /** The engine stops: one more request may come until `graceEnd`. */
  onDrainStart(graceEnd: number): void;
  /** Answers before any request, and closes. */
  refuse(refusal: Refusal): void;
  destroy(): void;
}

/** Who is at the other end of a connection. */
export interface ClientOrigin {
  readonly address: string;
  /** Where the connection was accepted. */
  readonly listener: number;
  readonly scheme: "http" | "https";
  /** `null`: the connection is in clear. */
  readonly tls: ClientTls | null;
  /** The lines `X-Forwarded-For` and `X-Forwarded-Proto` for a client that nobody speaks for. */
  readonly forwardedLine: string;
  /** The client itself, when it is a trusted proxy. */
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
   * A connection began with the preface of HTTP/2; `first` is what came, from the preface on. `before` has left the
   * socket, and takes no part any more.
   */
  beginHttp2(before: ClientSession, socket: Socket, first: Buffer, client: ClientOrigin): void;
  /** The connection is closed. */
  remove(session: ClientSession): void;
}

/** `trusts`: of a trusted proxy's connection, which others are trusted. */
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
 * Ends a connection so that its client sees that the answer is not whole. Over TLS there is no reset to send, and none
 * needed: the alert that ends a whole answer is missing (RFC 8446 section 6.1).
 */
export function resetConnection(socket: Socket, tls: ClientTls | null): void {
  if (tls === null) socket.resetAndDestroy();
  else socket.destroy();
}
