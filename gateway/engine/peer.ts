/**
 * One address that requests can be sent to, and what the engine has learnt of it while running. A
 * peer belongs to its address and not to a version of the state: it outlives every swap of tables.
 */
export class Peer {
  readonly host: string;
  readonly port: number;
  /** `host:port`, an IPv6 address in brackets. */
  readonly key: string;
  /** Requests that are on it now. */
  inFlight = 0;
  /** True once no table names it any more: connections are not kept after their request. */
  retired = false;
  /** Whatever the engine keeps for this peer (its pooled connections); no other room touches it. */
  slot: unknown = null;

  constructor(host: string, port: number) {
    this.host = host;
    this.port = port;
    this.key = peerKey(host, port);
  }
}

/** `host:port` as in a URL's authority. */
export function peerKey(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
