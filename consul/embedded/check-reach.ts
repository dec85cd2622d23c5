/**
 * Which addresses the agent's checks may connect to. Without this, anybody who may register a check could send
 * requests from the agent's place in the network. A name is resolved once, and the check connects to the very address
 * that was compared.
 */
import { type LookupAddress, lookup } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { HostList, plainAddress } from "../../gateway/foreign-requests.ts";

/** Loopback and the private ranges of RFC 1918 and RFC 4193. */
const privateAddresses: readonly string[] = [
  ...["127.0.0.0/8", "::1"],
  ...["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"],
];
/** Within those ranges: where a cloud gives out its machines' credentials. */
const metadata = new HostList(["fd00:ec2::/32"]);

export interface CheckReach {
  /** Why no check may connect to this host; `null`: it may, or the host is a name and is judged when it is resolved. */
  refusalOf(host: string): string | null;
  /** A `lookup` for sockets that gives only addresses which checks may reach. */
  readonly lookup: LookupFunction;
}

/** `allowed`: addresses and blocks; `null`: loopback and private ones. */
export function checkReach(allowed: readonly string[] | null): CheckReach {
  const list = new HostList(allowed ?? privateAddresses);
  const may = (address: string) =>
    list.has(address) && (allowed !== null || !metadata.has(plainAddress(address)));
  const refusal = (what: string) => `checks may not reach ${what} (--check-addresses)`;
  return {
    refusalOf: (host) => (isIP(host) === 0 || may(host) ? null : refusal(host)),
    lookup: (hostname, options, callback) => {
      lookup(hostname, { ...options, all: true }, (error, found) => {
        if (error) return callback(error, []);
        const addresses = found.filter(({ address }) => may(address));
        const [first] = addresses;
        if (first === undefined) {
          return callback(new Error(refusal(`${hostname}, which is ${listed(found)}`)), []);
        }
        if (options.all) callback(null, addresses);
        else callback(null, first.address, first.family);
      });
    },
  };
}

function listed(found: readonly LookupAddress[]): string {
  return found.map(({ address }) => address).join(", ");
}
