import { expect } from "chai";
import { ProxyHeaderReader, type ProxyOutcome } from "./proxy-protocol.ts";

const signature = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");

/** Reads in parts of `size` bytes. What is left after the outcome is added to its rest. */
function read(bytes: Buffer, size: number): ProxyOutcome | null {
  const reader = new ProxyHeaderReader();
  for (let at = 0; at < bytes.length; at += size) {
    const outcome = reader.take(bytes.subarray(at, at + size));
    if (outcome === null) continue;
    if ("fault" in outcome) return outcome;
    return { ...outcome, rest: Buffer.concat([outcome.rest, bytes.subarray(at + size)]) };
  }
  return null;
}

function binary(command: number, family: number, tail: readonly number[]): Buffer {
  const head = Buffer.from([command, family, tail.length >> 8, tail.length & 0xff]);
  return Buffer.concat([signature, head, Buffer.from(tail)]);
}

const six = [0x20, 0x01, 0x0d, 0xb8, ...new Array<number>(11).fill(0), 1];
const mapped = [...new Array<number>(10).fill(0), 0xff, 0xff, 10, 1, 2, 3];
const ports = [0xd9, 0x03, 0x01, 0xbb];

const whole: readonly (readonly [name: string, bytes: Buffer, source: unknown])[] = [
  [
    "version 1 over IPv4",
    Buffer.from("PROXY TCP4 10.1.2.3 10.0.0.1 55555 443\r\n"),
    { address: "10.1.2.3", port: 55_555 },
  ],
  [
    "version 1 over IPv6",
    Buffer.from("PROXY TCP6 2001:DB8::1 ::1 55555 443\r\n"),
    { address: "2001:db8::1", port: 55_555 },
  ],
  [
    "version 1 of an address in other words",
    Buffer.from("PROXY TCP6 2001:DB8:0:0::0001 ::1 55555 443\r\n"),
    { address: "2001:db8::1", port: 55_555 },
  ],
  [
    "version 1 of a mapped address",
    Buffer.from("PROXY TCP6 ::ffff:a01:203 ::1 55555 443\r\n"),
    { address: "10.1.2.3", port: 55_555 },
  ],
  ["version 1 of an unknown client", Buffer.from("PROXY UNKNOWN\r\n"), null],
  ["version 1 of an unknown client, with more", Buffer.from("PROXY UNKNOWN ff 1 2\r\n"), null],
  [
    "version 2 over IPv4",
    binary(0x21, 0x11, [10, 1, 2, 3, 10, 0, 0, 1, ...ports]),
    { address: "10.1.2.3", port: 55_555 },
  ],
  [
    "version 2 over IPv6, with more behind the addresses",
    binary(0x21, 0x21, [...six, ...six, ...ports, 4, 0, 2, 7, 7]),
    { address: "2001:db8::1", port: 55_555 },
  ],
  [
    "version 2 of a mapped address",
    binary(0x21, 0x21, [...mapped, ...mapped, ...ports]),
    { address: "10.1.2.3", port: 55_555 },
  ],
  ["version 2 of the sender itself", binary(0x20, 0x00, []), null],
  ["version 2 of another family", binary(0x21, 0x31, new Array<number>(216).fill(65)), null],
];

const faulty: readonly (readonly [name: string, bytes: Buffer])[] = [
  ["no header", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
  ["a header of another case", Buffer.from("proxy TCP4 10.1.2.3 10.0.0.1 1 2\r\n")],
  ["an address that is none", Buffer.from("PROXY TCP4 10.1.2.300 10.0.0.1 1 2\r\n")],
  ["an address of the other family", Buffer.from("PROXY TCP4 ::1 ::1 1 2\r\n")],
  ["a port that is none", Buffer.from("PROXY TCP4 10.1.2.3 10.0.0.1 65536 2\r\n")],
  ["two spaces", Buffer.from("PROXY TCP4  10.1.2.3 10.0.0.1 1 2\r\n")],
  ["a line without end", Buffer.from(`PROXY UNKNOWN ${"x".repeat(200)}`)],
  ["another version", binary(0x31, 0x11, [10, 1, 2, 3, 10, 0, 0, 1, ...ports])],
  ["another command", binary(0x22, 0x11, [10, 1, 2, 3, 10, 0, 0, 1, ...ports])],
  ["too little behind version 2", binary(0x21, 0x11, [10, 1, 2, 3])],
  ["a header of 64 kB", Buffer.concat([signature, Buffer.from([0x21, 0x11, 0xff, 0xff])])],
];

describe("PROXY protocol", () => {
  for (const [name, bytes, source] of whole)
    it(`reads ${name}, however it is cut`, () => {
      const all = Buffer.concat([bytes, Buffer.from("hello")]);
      for (const size of [1, 2, 7, 16, 1_000]) {
        const outcome = read(all, size);
        expect(outcome, String(size)).to.deep.equal({ source, rest: Buffer.from("hello") });
      }
    });

  for (const [name, bytes] of faulty)
    it(`refuses ${name}`, () => {
      for (const size of [1, 7, 1_000]) expect(read(bytes, size)).to.have.property("fault");
    });

  it("waits for the rest", () => {
    for (const [, bytes] of whole) expect(read(bytes.subarray(0, -1), 3)).to.equal(null);
  });
});
