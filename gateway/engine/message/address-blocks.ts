/** Sets of client addresses: addresses and CIDR blocks. */
import { BlockList, isIP } from "node:net";

/** Whether a text is an address or a CIDR block: `10.0.0.0/8`, `::1`. */
export function isAddressBlock(text: string): boolean {
  return parseBlock(text) !== null;
}

/**
 * Returns a test for addresses in `blocks`. Throws a `TypeError` that names the text that is not an address block.
 */
export function addressTest(blocks: readonly string[]): (address: string) => boolean {
  if (blocks.length === 0) return () => false;
  const list = new BlockList();
  for (const text of blocks) {
    const block = parseBlock(text);
    if (block === null) throw new TypeError(`${text}: not an address or CIDR block`);
    list.addSubnet(block.address, block.bits, block.family);
  }
  return (address) => {
    const plain = address.startsWith("::ffff:") ? address.slice(7) : address;
    const family = familyOf(plain);
    return family !== null && list.check(plain, family);
  };
}

/** The network that counts as one client: an IPv4 address, or the whole /64 around an IPv6 address. */
export function networkOf(address: string): string {
  if (!address.includes(":")) return address;
  const [left = "", right] = address.split("::", 2);
  const before = left === "" ? [] : left.split(":");
  const after = right === undefined || right === "" ? [] : right.split(":");
  const zeros = Array<string>(Math.max(0, 8 - before.length - after.length)).fill("0");
  const groups = [...before, ...zeros, ...after].slice(0, 4);
  return `${groups.map((group) => Number.parseInt(group, 16).toString(16)).join(":")}::/64`;
}

interface Block {
  readonly address: string;
  readonly bits: number;
  readonly family: "ipv4" | "ipv6";
}

function parseBlock(text: string): Block | null {
  const [address = "", prefix, ...rest] = text.split("/");
  const family = familyOf(address);
  if (family === null || rest.length > 0) return null;
  const most = family === "ipv4" ? 32 : 128;
  if (prefix === undefined) return { address, bits: most, family };
  const bits = Number(prefix);
  return /^\d{1,3}$/.test(prefix) && bits <= most ? { address, bits, family } : null;
}

function familyOf(address: string): "ipv4" | "ipv6" | null {
  const version = isIP(address);
  if (version === 4) return "ipv4";
  return version === 6 ? "ipv6" : null;
}
