/**
 * Reads the PROXY protocol, versions 1 and 2 (HAProxy, "The PROXY protocol"), in which a sender says whose connection
 * it passes on. Who may say so is decided elsewhere. The resulting address is always an IP address, whatever was
 * sent.
 */
import { isIP } from "node:net";

export interface ProxySource {
  readonly address: string;
  readonly port: number;
}

/** `source` is `null` when the sender speaks for itself. `rest`: the bytes after the header. */
export type ProxyOutcome =
  | { readonly source: ProxySource | null; readonly rest: Buffer }
  | {
      readonly fault: string;
      /** There is no header at all. */
      readonly isMissing?: true;
    };

/** How a header of version 2 begins. */
export const signature = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const versionOne = Buffer.from("PROXY ", "latin1");
/** Longest line of version 1, line end included. */
const maxLine = 107;
/** Longest tail of version 2: addresses, and other things that a sender may say, which are skipped. */
const maxTail = 4_096;
const headBytes = 16;

const line =
  /^PROXY (?:UNKNOWN(?: [ -~]*)?|(TCP4|TCP6) ([0-9A-Fa-f:.]{2,45}) ([0-9A-Fa-f:.]{2,45}) ([0-9]{1,5}) ([0-9]{1,5}))$/;

export class ProxyHeaderReader {
  #taken: Buffer = Buffer.alloc(0);

  /** Returns `null` while more has to come. Do not call it again after an outcome. */
  take(chunk: Buffer): ProxyOutcome | null {
    // At most the longest header is gathered, so bytes that come one by one cost little.
    this.#taken = this.#taken.length === 0 ? chunk : Buffer.concat([this.#taken, chunk]);
    const taken = this.#taken;
    if (begins(taken, signature)) return readBinary(taken);
    if (begins(taken, versionOne)) return readLine(taken);
    return { fault: "the connection does not begin with a PROXY header", isMissing: true };
  }
}

/** Whether these first bytes of a connection begin a header. */
export function beginsProxyHeader(bytes: Buffer): boolean {
  if (bytes.length < versionOne.length) return false;
  return begins(bytes, signature) || begins(bytes, versionOne);
}

/** Compares as many bytes as there are. */
function begins(bytes: Buffer, with_: Buffer): boolean {
  const length = Math.min(bytes.length, with_.length);
  return bytes.compare(with_, 0, length, 0, length) === 0;
}

function readLine(bytes: Buffer): ProxyOutcome | null {
  const end = bytes.subarray(0, maxLine).indexOf("\r\n");
  if (end === -1) return bytes.length < maxLine ? null : { fault: "the PROXY line is too long" };
  const match = line.exec(bytes.toString("latin1", 0, end));
  if (match === null) return { fault: "the PROXY line is malformed" };
  const rest = bytes.subarray(end + 2);
  const [, family, address, local, port] = match;
  if (family === undefined || address === undefined || local === undefined)
    return { source: null, rest };
  const version = family === "TCP4" ? 4 : 6;
  if (isIP(address) !== version || isIP(local) !== version || Number(port) > 65_535)
    return { fault: "the PROXY line has no valid address" };
  const source = version === 4 ? address : oneSpelling(address);
  return { source: { address: source, port: Number(port) }, rest };
}

function readBinary(bytes: Buffer): ProxyOutcome | null {
  if (bytes.length < headBytes) return null;
  const [command = 0, family = 0] = bytes.subarray(12, 14);
  if (command !== 0x20 && command !== 0x21)
    return { fault: "the PROXY header has no version or command that is known" };
  const length = bytes.readUInt16BE(14);
  if (length > maxTail) return { fault: "the PROXY header is too long" };
  const whole = headBytes + length;
  if (bytes.length < whole) return null;
  const rest = bytes.subarray(whole);
  const isLocal = command === 0x20;
  const size = family >> 4 === 1 ? 4 : family >> 4 === 2 ? 16 : 0;
  if (isLocal || size === 0) return { source: null, rest };
  if (length < 2 * size + 4) return { fault: "the PROXY header has no addresses" };
  const tail = bytes.subarray(headBytes, whole);
  return { source: { address: addressOf(tail, size), port: tail.readUInt16BE(2 * size) }, rest };
}

function addressOf(tail: Buffer, size: 4 | 16): string {
  if (size === 4) return tail.subarray(0, 4).join(".");
  const groups = Array.from({ length: 8 }, (_, at) => tail.readUInt16BE(at * 2).toString(16));
  return oneSpelling(groups.join(":"));
}

/** An IPv6 address in the one spelling that addresses have everywhere (RFC 5952). */
function oneSpelling(address: string): string {
  return plainOf(new URL(`http://[${address}]`).hostname.slice(1, -1));
}

/** URLs write an IPv4-mapped address in hexadecimal; returns the IPv4 form. */
function plainOf(address: string): string {
  const [, high, low] = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(address) ?? [];
  if (high === undefined || low === undefined) return address;
  const bytes = Buffer.alloc(4);
  bytes.writeUInt16BE(Number.parseInt(high, 16), 0);
  bytes.writeUInt16BE(Number.parseInt(low, 16), 2);
  return bytes.join(".");
}
