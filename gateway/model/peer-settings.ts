/** What operators set by hand for single peers of an upstream, as plain data: `peers/<name>` in KV. */

export interface PeerSetting {
  /** It gets no new request; those that it has are finished. */
  readonly isDrained: boolean;
  /** In the place of what its document or Consul says, 1 to 1000; `null`: as these say. */
  readonly weight: number | null;
  /** Who set it last, as they call themselves; empty: nobody said. */
  readonly by: string;
  /** When, ISO 8601; empty: nobody said. */
  readonly since: string;
}

/** By address: `host:port`, an IPv6 address in brackets. */
export type PeerSettings = Readonly<Record<string, PeerSetting>>;
