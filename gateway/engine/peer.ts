/**
 * One address that requests can be sent to, and what the engine has learnt about it while running. A peer belongs
 * to its address and not to a version of the state, so it outlives every swap of tables.
 */
export class Peer {
  readonly host: string;
  readonly port: number;
  /** `host:port`, with an IPv6 address in brackets. */
  readonly key: string;
  #inFlight = 0;
  #elsewhere = 0;
  /** Told at once when `load` changes. Keep them few: each request tells them twice. */
  readonly watchers: LoadWatcher[] = [];
  /** True once no table names the peer any more: then a connection is closed after its request. */
  retired = false;
  /** Whatever the engine keeps for this peer (its pooled connections). No other room touches it. */
  slot: unknown = null;

  constructor(host: string, port: number) {
    this.host = host;
    this.port = port;
    this.key = peerKey(host, port);
  }

  /** Requests that this worker has on the peer now. */
  get inFlight(): number {
    return this.#inFlight;
  }

  set inFlight(count: number) {
    this.#inFlight = count;
    this.#tell();
  }

  /** Requests that other workers have on the peer, as they last reported. */
  get elsewhere(): number {
    return this.#elsewhere;
  }

  set elsewhere(count: number) {
    this.#elsewhere = count;
    this.#tell();
  }

  /** All requests on the peer now, as far as this worker knows. */
  get load(): number {
    return this.#inFlight + this.#elsewhere;
  }

  #tell(): void {
    const { watchers } = this;
    for (let at = 0; at < watchers.length; at += 1) watchers[at]?.loadChanged();
  }
}

/** Something that keeps peers in the order of their load. */
export interface LoadWatcher {
  loadChanged(): void;
}

/** `host:port` as in a URL's authority. */
export function peerKey(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
