/** A listener as `/status` shows it. */
import type { ListenerTerms } from "../model/index.ts";
import { type Address, formatAddress } from "../settings-values.ts";

export interface ListenerStatus {
  readonly name: string;
  readonly protocol: ListenerTerms["protocol"];
  /** With the port that it has. */
  readonly address: string;
  /** Where everything goes; `null`: the name that a client asks for decides. */
  readonly upstream: string | null;
  /** The setting or the key in Consul that asks for it. */
  readonly from: string;
}

export function listenerStatus(
  terms: ListenerTerms,
  address: Address,
  from: string,
): ListenerStatus {
  const { name, protocol, upstream } = terms;
  return { name, protocol, address: formatAddress(address), upstream, from };
}
