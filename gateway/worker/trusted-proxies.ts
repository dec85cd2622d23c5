/** Which client addresses are proxies in front of the gateway. */
import { BlockList, isIP } from "node:net";

/**
 * A test for the addresses and CIDR blocks in `entries` (`10.0.0.0/8`, `::1`). Throws a `TypeError`
 * that names an entry which is neither.
 */
export function trustedProxies(entries: readonly string[]): (address: string) => boolean {
  if (entries.length === 0) return () => false;
  const list = new BlockList();
  for (const entry of entries) {
    const [address = "", prefix] = entry.split("/");
    const family = familyOf(address);
    if (family === null)
      throw new TypeError(`trusted proxy ${entry}: not an address or CIDR block`);
    const bits = family === "ipv4" ? 32 : 128;
    const length = prefix === undefined ? bits : Number(prefix);
    if (!Number.isInteger(length) || length < 0 || length > bits || prefix === "") {
      throw new TypeError(`trusted proxy ${entry}: the prefix length is not 0 to ${bits}`);
    }
    list.addSubnet(address, length, family);
  }
  return (address) => {
    const plain = address.startsWith("::ffff:") ? address.slice(7) : address;
    const family = familyOf(plain);
    return family !== null && list.check(plain, family);
  };
}

function familyOf(address: string): "ipv4" | "ipv6" | null {
  const version = isIP(address);
  if (version === 4) return "ipv4";
  return version === 6 ? "ipv6" : null;
}
