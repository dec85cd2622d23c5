import { expect } from "chai";
import { HpackEncoder } from "./encoder.ts";
import {
  bytes,
  decoded,
  encoded,
  type Field,
  indexed,
  roomyDecoder,
  sizeUpdate,
  stringLiteral,
} from "./fixtures/blocks.ts";

/** How many bytes a head takes when it is sent so often. */
function lastLength(fields: readonly Field[], times: number): number {
  const encoder = new HpackEncoder();
  let length = 0;
  for (let n = 0; n < times; n += 1) length = encoded(encoder, fields).length;
  return length;
}

describe("the encoder of heads", () => {
  it("uses the static table", () => {
    const fields: readonly Field[] = [
      [":status", "200"],
      [":method", "POST"],
      ["accept-encoding", "gzip, deflate"],
    ];
    expect(encoded(new HpackEncoder(), fields)).to.deep.equal(bytes(0x88, 0x83, 0x90));
  });

  it("indexes a value when it comes a second time, and not one that never does", () => {
    const encoder = new HpackEncoder();
    const field = (value: string) => encoded(encoder, [["x-key", value]]);
    const plain = bytes(0x00, stringLiteral("x-key"), stringLiteral("one"));
    expect(field("one")).to.deep.equal(plain);
    expect(field("one")).to.deep.equal(bytes(plain.fill(0x40, 0, 1)));
    expect(field("one")).to.deep.equal(indexed(62));
    // From now on, the name is in the table too.
    expect(field("two")).to.deep.equal(bytes(0x0f, 62 - 15, stringLiteral("two")));
    expect(field("three")).to.deep.equal(bytes(0x0f, 62 - 15, stringLiteral("three")));
    expect(field("three")).to.deep.equal(bytes(0x40 | 62, stringLiteral("three")));
    expect(
      encoded(encoder, [
        ["x-key", "three"],
        ["x-key", "one"],
      ]),
    ).to.deep.equal(bytes(indexed(62), indexed(63)));
  });

  for (const name of [
    "authorization",
    "cookie",
    "set-cookie",
    "proxy-authorization",
    "x-auth-token",
    "x-api-key",
    "x-csrf",
    "client-secret",
  ]) {
    it(`never indexes ${name}, and says so to whoever passes it on`, () => {
      const encoder = new HpackEncoder();
      for (let n = 0; n < 4; n += 1) {
        const block = encoded(encoder, [[name, "value"]]);
        expect((block[0] ?? 0) & 0xf0).to.equal(0x10);
        expect(decoded(roomyDecoder(), block).fields).to.deep.equal([[name, "value"]]);
      }
    });
  }

  it("indexes no query, which may hold a secret, and no long value", () => {
    expect(lastLength([[":authority", "shop.example"]], 3)).to.equal(1);
    expect(lastLength([[":path", "/a/method"]], 3)).to.equal(1);
    expect(lastLength([[":path", "/a?b=c"]], 3)).to.be.greaterThan(6);
    expect(lastLength([["referer", "http://a/?b=c"]], 3)).to.be.greaterThan(6);
    expect(lastLength([["x-long", "x".repeat(256)]], 3)).to.equal(1);
    expect(lastLength([["x-long", "x".repeat(257)]], 3)).to.be.greaterThan(256);
  });

  it("tells the other side of each smaller table, and keeps within it", () => {
    const encoder = new HpackEncoder();
    const head: readonly Field[] = [
      ["x-one", "1"],
      ["x-two", "2"],
    ];
    for (let n = 0; n < 2; n += 1) encoded(encoder, head);
    expect(encoded(encoder, head)).to.deep.equal(bytes(indexed(63), indexed(62)));
    encoder.setMaxTableBytes(1_000_000);
    expect(encoded(encoder, head)).to.deep.equal(bytes(indexed(63), indexed(62)));
    encoder.setMaxTableBytes(50);
    // The newer entry still fits.
    expect(encoded(encoder, [["x-two", "2"]])).to.deep.equal(bytes(sizeUpdate(50), indexed(62)));
    encoder.setMaxTableBytes(0);
    encoder.setMaxTableBytes(100_000);
    const emptied = encoded(encoder, [[":status", "200"]]);
    expect(emptied).to.deep.equal(bytes(sizeUpdate(0), sizeUpdate(4_096), 0x88));
    encoder.setMaxTableBytes(0);
    expect(encoded(encoder, [])).to.deep.equal(sizeUpdate(0));
    for (let n = 0; n < 4; n += 1) expect(encoded(encoder, head).length).to.be.greaterThan(10);
  });

  it("stays in step and fast when names and values never repeat", () => {
    const encoder = new HpackEncoder();
    const decoder = roomyDecoder();
    for (let n = 0; n < 5_000; n += 1) {
      const head: readonly Field[] = [
        [`x-${n}`, "a"],
        [`x-${n % 500}`, "b"],
        ["x-always", `${n >> 1}`],
        ["x-same", "same"],
        ["n".repeat(1 + (n % 100)), "c"],
      ];
      const block = encoded(encoder, head);
      expect(decoded(decoder, block)).to.deep.equal({ outcome: "ok", fields: head });
    }
  });

  it("writes strings of any length and every latin1 character", () => {
    const all = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).join("");
    for (const length of [0, 1, 24, 25, 126, 127, 128, 254, 255, 256, 16_383, 70_000]) {
      const head: readonly Field[] = [
        ["x", all.repeat(274).slice(0, length)],
        ["n".repeat(Math.max(1, length)), all],
      ];
      const { fields } = decoded(roomyDecoder(), encoded(new HpackEncoder(), head));
      expect(fields).to.deep.equal(head);
    }
  });
});
