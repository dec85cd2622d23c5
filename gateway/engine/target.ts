/**
 * Where a try goes and how: a peer, and everything that its upstream says about reaching it. Targets are made when
 * a version of the state is applied, so that picking one allocates nothing.
 */
import { type Peer, peerKey } from "./peer.ts";

/** `h2c` is HTTP/2 in clear with prior knowledge, `h2` the same over TLS. */
export type PeerProtocol = "http1" | "h2c" | "h2";

/** How a peer is reached over TLS. `EngineOptions.peerMaterials` knows what the names stand for. */
export interface PeerTls {
  /** The name sent as SNI, which the peer's certificate must match; `null`: the peer's own host. */
  readonly serverName: string | null;
  /** The name of the authorities that are trusted instead of Node's own; `null`: Node's own. */
  readonly authorities: string | null;
  /** The name of the certificate that the gateway shows; `null`: none. */
  readonly certificate: string | null;
  /** Whether any certificate is accepted, for any name. */
  readonly isInsecure: boolean;
}

/** Which requests may be sent to a further peer. A request that was never sent always may. */
export interface Retries {
  /**
   * Whether requests with a method that is not idempotent may too, although a silent peer may have acted on them.
   */
  readonly nonIdempotent: boolean;
  /** An answer with one of these statuses is dropped when another peer can be asked. */
  readonly statuses: readonly number[];
}

/** The default, as in nginx. */
const defaultRetries: Retries = { nonIdempotent: false, statuses: [] };

/**
 * What an upstream says about reaching its peers. `null` or left out: the engine's limit applies. Times in
 * milliseconds.
 */
export interface TargetOptions {
  /**
   * The `Host` that the peer gets: `"peer"` for its own address, or this name; `null` or left out: the request's.
   */
  readonly sentHost?: "peer" | { readonly name: string } | null;
  readonly protocol?: PeerProtocol;
  readonly tls?: PeerTls | null;
  readonly maxTries?: number | null;
  /** 0: no limit. */
  readonly tryTimeoutMs?: number | null;
  readonly connectTimeoutMs?: number | null;
  /** How long the peer may take no byte of the request's body. */
  readonly sendTimeoutMs?: number | null;
  /** How long the peer may be silent before its answer's head, and in the answer's body. */
  readonly readTimeoutMs?: number | null;
  readonly retries?: Retries;
}

/** All options, with a value for each that was left out, so that every target has the same shape. */
export class Target {
  readonly peer: Peer;
  readonly protocol: PeerProtocol;
  readonly tls: PeerTls | null;
  readonly maxTries: number | null;
  readonly tryTimeoutMs: number | null;
  readonly connectTimeoutMs: number | null;
  readonly sendTimeoutMs: number | null;
  readonly readTimeoutMs: number | null;
  readonly retries: Retries;
  /** The `Host` that the upstream sets; empty: the request's own. */
  readonly authority: string;
  /** The peer's address as a `Host`, without the port when it is the protocol's default. */
  readonly peerAuthority: string;

  constructor(peer: Peer, options: TargetOptions = {}) {
    this.peer = peer;
    this.protocol = options.protocol ?? "http1";
    this.tls = options.tls ?? null;
    this.maxTries = options.maxTries ?? null;
    this.tryTimeoutMs = options.tryTimeoutMs ?? null;
    this.connectTimeoutMs = options.connectTimeoutMs ?? null;
    this.sendTimeoutMs = options.sendTimeoutMs ?? null;
    this.readTimeoutMs = options.readTimeoutMs ?? null;
    this.retries = options.retries ?? defaultRetries;
    this.peerAuthority = authorityOf(peer, this.tls === null ? 80 : 443);
    const { sentHost = null } = options;
    if (sentHost === null) this.authority = "";
    else this.authority = sentHost === "peer" ? this.peerAuthority : sentHost.name;
  }
}

function authorityOf({ host, port }: Peer, knownPort: number): string {
  // A zone names an interface of this machine and means nothing to the peer (RFC 9844 section 3).
  const zone = host.indexOf("%");
  const key = peerKey(zone === -1 ? host : host.slice(0, zone), port);
  return port === knownPort ? key.slice(0, key.lastIndexOf(":")) : key;
}
