/**
 * Finds upstream documents that name a listener of this gateway. Their requests come back, which may be meant: to
 * another host, through a port for bytes. Where it is not, each goes around until its head is too large.
 */
import { kinds, type Tables } from "../model/index.ts";
import { OwnAddresses } from "../own-addresses.ts";
import { formatAddress } from "../settings-values.ts";
import type { BoundListener } from "./addresses.ts";
import type { Finding } from "./without-effect.ts";

/** Where the listeners are. It resolves no name. */
export function listenerPlaces(
  listeners: readonly (Pick<BoundListener, "name" | "address"> & {
    readonly socket: { readonly address: () => { readonly port: number } };
  })[],
): Pick<OwnAddresses, "find"> {
  return new OwnAddresses(
    listeners.map(({ name, address, socket }) => ({
      what: `this gateway's listener ${name}`,
      host: address.host,
      port: socket.address().port,
      isEverywhere: false,
    })),
  );
}

/** Every server that is at one of `places`; `prefix`: of all keys in Consul. */
export function* findLoops(
  { upstream }: Pick<Tables, "upstream">,
  places: Pick<OwnAddresses, "find">,
  prefix: string,
): Generator<Finding> {
  for (const [name, { levels }] of upstream)
    for (const { servers } of levels)
      for (const { host, port } of servers) {
        const what = places.find(host, port);
        if (what === null) continue;
        const warning = `server ${formatAddress({ host, port })}: ${what} is there, so its requests come back to the gateway`;
        yield { key: `${prefix}${kinds.upstream.folder}${name}`, warning };
      }
}
