/** Writes the PROXY protocol to peers (HAProxy, "The PROXY protocol", versions 1 and 2). */
import { isIP, SocketAddress } from "node:net";
import { signature } from "../engine/listening/proxy-protocol.ts";

export type ProxyVersion = "v1" | "v2";

/** Both ends of a client's connection. */
export interface Ends {
  readonly client: { readonly address: string; readonly port: number };
  /** Where the gateway accepted the connection. */
  readonly local: { readonly address: string; readonly port: number };
}

const versionAndProxy = 0x21;
const tcp4 = 0x11;
const tcp6 = 0x21;

/**
 * Returns the header that a connection to a peer begins with. When the two ends have different address families, it
 * says "unknown".
 */
export function proxyHeader(version: ProxyVersion, { client, local }: Ends): Buffer {
  const family = isIP(client.address);
  const isKnown = family !== 0 && family === isIP(local.address);
  if (version === "v1") {
    if (!isKnown) return Buffer.from("PROXY UNKNOWN\r\n", "latin1");
    // A zone (`%eth0`) means nothing to a peer, which would refuse the whole header.
    const [from, to] = [client.address, local.address].map(withoutZone);
    const ends = `${from} ${to} ${client.port} ${local.port}`;
    return Buffer.from(`PROXY TCP${family} ${ends}\r\n`, "latin1");
  }
  const addresses = isKnown ? [client.address, local.address].map(addressBytes) : [];
  const ports = Buffer.alloc(isKnown ? 4 : 0);
  if (isKnown) {
    ports.writeUInt16BE(client.port, 0);
    ports.writeUInt16BE(local.port, 2);
  }
  const tail = Buffer.concat([...addresses, ports]);
  const head = Buffer.from([versionAndProxy, isKnown ? (family === 4 ? tcp4 : tcp6) : 0, 0, 0]);
  head.writeUInt16BE(tail.length, 2);
  return Buffer.concat([signature, head, tail]);
}

function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split(".").map(Number));
  const plain = new SocketAddress({ address: withoutZone(address), family: "ipv6" }).address;
  const [left = "", right = ""] = plain.split("::");
  const groups = (text: string) =>
    text === ""
      ? []
      : text.split(":").flatMap((group) => {
          if (!group.includes(".")) return [Number.parseInt(group, 16)];
          const [a = 0, b = 0, c = 0, d = 0] = group.split(".").map(Number);
          return [a * 256 + b, c * 256 + d];
        });
  const [before, after] = [groups(left), groups(right)];
  const zeros = new Array<number>(8 - before.length - after.length).fill(0);
  const bytes = Buffer.alloc(16);
  for (const [at, group] of [...before, ...zeros, ...after].entries())
    bytes.writeUInt16BE(group, at * 2);
  return bytes;
}

function withoutZone(address: string): string {
  const at = address.indexOf("%");
  return at === -1 ? address : address.slice(0, at);
}
