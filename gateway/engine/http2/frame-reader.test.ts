import { expect } from "chai";
import { seeded } from "../../../test/support/random.ts";
import { FrameReader } from "./frame-reader.ts";
import { FrameWriter } from "./frame-writer.ts";
import { errorCode, frameFlag, frameType, maxFrameBytes } from "./frames.ts";

/** Reads bytes in pieces of these lengths, the last one again and again, and says what the reader told. */
function read(bytes: Buffer, lengths: Iterable<number>): readonly string[] {
  const told: string[] = [];
  let content = "";
  const reader: FrameReader = new FrameReader({
    onFrame: (type, flags, stream, buffer, from, to) =>
      told.push(`${type} ${flags} ${stream} ${buffer.toString("latin1", from, to)}`),
    onDataBegin: (flags, stream, length) => told.push(`data ${flags} ${stream} of ${length}`),
    onDataPiece: (buffer, from, to) => {
      expect(to).to.be.greaterThan(from);
      content += buffer.toString("latin1", from, to);
    },
    onDataEnd: () => {
      told.push(`content ${content}`);
      content = "";
    },
    onBadFrame: (code) => {
      told.push(`bad ${code}`);
      reader.isStopped = true;
    },
  });
  let at = 0;
  for (const length of lengths) {
    if (at >= bytes.length) break;
    reader.read(bytes.subarray(at, at + length), 0);
    at += length;
  }
  return told;
}

function* always(length: number): Iterable<number> {
  for (;;) yield length;
}

function frame(type: number, flags: number, stream: number, payload: string): Buffer {
  const writer = new FrameWriter();
  writer.frameHeader(payload.length, type, flags, stream);
  writer.text(payload);
  return writer.copy();
}

const { data, headers, ping } = frameType;
const all = Buffer.concat([
  frame(headers, frameFlag.endHeaders, 1, "some block"),
  frame(data, 0, 1, "content"),
  frame(data, frameFlag.padded, 1, "\x03padded\0\0\0"),
  frame(data, frameFlag.padded, 1, "\x00no padding"),
  frame(data, frameFlag.padded, 1, "\x03\0\0\0"),
  frame(data, frameFlag.padded, 1, "\0"),
  frame(0x77, 0xff, 0x7fffffff, ""),
  frame(headers, 0, 3, "x".repeat(1_000)),
  frame(data, frameFlag.endStream, 3, ""),
  frame(ping, 0, 0, "12345678"),
]);
const expected = [
  `1 4 1 some block`,
  ...["data 0 1 of 7", "content content"],
  ...["data 8 1 of 10", "content padded"],
  ...["data 8 1 of 11", "content no padding"],
  ...["data 8 1 of 4", "content "],
  ...["data 8 1 of 1", "content "],
  "119 255 2147483647 ",
  `1 0 3 ${"x".repeat(1_000)}`,
  ...["data 1 3 of 0", "content "],
  "6 0 0 12345678",
];

describe("frames of HTTP/2", () => {
  it("are read from one piece, and byte by byte", () => {
    expect(read(all, always(all.length))).to.deep.equal(expected);
    expect(read(all, always(1))).to.deep.equal(expected);
  });

  it("are read wherever the bytes are cut", () => {
    for (let at = 1; at < all.length; at += 1)
      expect(read(all, [at, all.length]), `cut at ${at}`).to.deep.equal(expected);
    const random = seeded(7);
    for (let round = 0; round < 200; round += 1) {
      const lengths = Array.from(all, () => 1 + Math.floor(random() ** 3 * 400));
      expect(read(all, lengths), `lengths ${lengths}`).to.deep.equal(expected);
    }
  });

  it("may be so long, and not longer", () => {
    const longest = frame(headers, 4, 1, "x".repeat(maxFrameBytes));
    expect(read(longest, always(1_000))).to.have.length(1);
    const longer = frame(data, 0, 1, "x".repeat(maxFrameBytes + 1));
    expect(read(longer, always(1_000))).to.deep.equal([`bad ${errorCode.frameSizeError}`]);
  });

  it("have no more padding than payload", () => {
    const bad = ["data 8 1 of 3", `bad ${errorCode.protocolError}`];
    expect(read(frame(data, frameFlag.padded, 1, "\x03ab"), always(1))).to.deep.equal(bad);
    const empty = ["data 8 1 of 0", `bad ${errorCode.frameSizeError}`];
    expect(read(frame(data, frameFlag.padded, 1, ""), always(9))).to.deep.equal(empty);
  });

  it("with long heads are written as fragments that fit", () => {
    const writer = new FrameWriter();
    writer.text("before");
    const start = writer.beginHeaders();
    writer.text(`${"a".repeat(maxFrameBytes)}${"b".repeat(maxFrameBytes)}c`);
    writer.endHeaders(start, 5, true);
    writer.settingsAck();
    const told = read(writer.copy().subarray(6), always(100));
    expect(told.map((line) => line.replace(/(.)\1+$/, "$1"))).to.deep.equal([
      ...["1 1 5 a", "9 0 5 b", "9 4 5 c"],
      "4 1 0 ",
    ]);
  });
});
