/** What operators set by hand for single peers in an upstream, as plain data: `peers/<name>` in KV. */

export interface PeerSetting {
  /** Whether it gets no new requests. It finishes those that it has. */
  readonly isDrained: boolean;
  /** Replaces the weight in its document or in Consul, from 1 to 1000; `null`: that weight applies. */
  readonly weight: number | null;
  /** The name that the last person to set it gave; empty: none. */
  readonly by: string;
  /** When it was set, in ISO 8601; empty: unknown. */
  readonly since: string;
}

/** By address: `host:port`, with an IPv6 address in brackets. */
export type PeerSettings = Readonly<Record<string, PeerSetting>>;
