/** How the servers of an upstream are checked, as its document says, with defaults filled in. */

/** The words of lua-resty-checkups, and `grpc`. `general`: a connection is enough. */
export const checkTypes = ["general", "http", "redis", "mysql", "grpc"] as const;
export type CheckType = (typeof checkTypes)[number];

export interface HealthCheck {
  readonly type: CheckType;
  readonly intervalMs: number;
  /** For a whole check. */
  readonly timeoutMs: number;
  /** Good checks in a row after which a server is well again. */
  readonly rise: number;
  /** Failed checks in a row that take it out. */
  readonly fall: number;
  /** Of `http`; `null`: a connection is enough. */
  readonly http: HttpCheck | null;
  /** Of `grpc`: which of the server's services is asked about. Default: the server as a whole. */
  readonly service?: string;
}

export interface HttpCheck {
  /** The whole request, latin1. */
  readonly request: string;
  /** Answers with such a status are good; both ends are included. */
  readonly statuses: readonly (readonly [from: number, to: number])[];
  /** What the body must have in it, in its first 64 KiB; `null`: anything. */
  readonly body: string | null;
}
