/** An upstream document, `upstreams/<name>`: fixed servers in Slardar's format, or a service. */

export interface Server {
  readonly host: string;
  readonly port: number;
  /** 1 to 1000. Default 1. */
  readonly weight: number;
  /** Failures within `failTimeoutMs` that take the server out; 0 never does. Default 1, as nginx. */
  readonly maxFails: number;
  /** Also how long it stays out. In the document in seconds (`fail_timeout`). Default 10 s. */
  readonly failTimeoutMs: number;
}

/** A level of servers; a later level is used when no server of the earlier ones is available. */
export interface Level {
  readonly servers: readonly Server[];
}

export interface UpstreamDocument {
  /** False: answers 503 as if it had no server. Default true. */
  readonly enable: boolean;
  /** Fixed servers; empty when `service` is given. */
  readonly levels: readonly Level[];
  /** A Consul service in one of the DNS forms; `null` when servers are given. */
  readonly service: string | null;
  /** Health defaults for the instances of `service`. */
  readonly maxFails: number;
  readonly failTimeoutMs: number;
  /** Tries per request, the first included; `null`: the engine's default. */
  readonly tries: number | null;
}
