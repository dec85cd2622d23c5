/** How an upstream's servers are checked, as its document says, with defaults filled in. */

import type { PeerTls } from "../engine/engine.ts";

/** The words of lua-resty-checkups, `grpc` and `udp`. For `general`, a connection is enough. */
export const checkTypes = ["general", "http", "redis", "mysql", "grpc", "udp"] as const;
export type CheckType = (typeof checkTypes)[number];

export interface HealthCheck {
  readonly type: CheckType;
  readonly intervalMs: number;
  /** Time for a whole check. */
  readonly timeoutMs: number;
  /** So many good checks in a row make a server well again. */
  readonly rise: number;
  /** So many failed checks in a row take a server out. */
  readonly fall: number;
  /** For `http`; `null`: a connection is enough. */
  readonly http: HttpCheck | null;
  /** For `grpc`: the service to ask about. Default: the server as a whole. */
  readonly service?: string;
  /** For `udp`. */
  readonly datagram?: DatagramCheck;
  /** How the servers are reached over TLS; absent: in clear. */
  readonly tls?: PeerTls;
}

export interface DatagramCheck {
  /** In latin1, as `expect`. */
  readonly send: string;
  /** What an answer must contain; `null`: none is waited for, and only a refusal is bad. */
  readonly expect: string | null;
}

export interface HttpCheck {
  /** The whole request in HTTP/1.1, in latin1. */
  readonly request: string;
  /** The same request for servers that speak HTTP/2: its fields, names and values alternately. */
  readonly http2?: readonly string[];
  /** Answers with these statuses are good; both ends are included. */
  readonly statuses: readonly (readonly [from: number, to: number])[];
  /** A text that the first 64 KiB of the body must contain; `null`: any body will do. */
  readonly body: string | null;
}
