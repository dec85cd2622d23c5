import { expect } from "chai";
import { growthOf, mostGrowth } from "../../../../test/support/cost.ts";
import { HpackDecoder } from "./decoder.ts";
import {
  bytes,
  decoded,
  type Field,
  indexed,
  literal,
  roomyDecoder,
  sizeUpdate,
  stringLiteral,
} from "./fixtures/blocks.ts";

const outcomeOf = (block: Buffer) => decoded(roomyDecoder(), block).outcome;

/** A block that shows whether the tables are in step: it takes the newest entry. */
const newest = indexed(62);

describe("a header block that nobody may send", () => {
  const broken: Readonly<Record<string, Buffer>> = {
    "the index 0": bytes(0x80),
    "an index behind the empty table": indexed(62),
    "an index far behind the table": indexed(1_000_000),
    "a name behind the table": bytes(0x7f, 0x00, stringLiteral("x")),
    "a name far behind the table": bytes(0x0f, 0xff, 0xff, 0x03, stringLiteral("x")),
    "an index that overflows 32 bits": bytes(0xff, 0xff, 0xff, 0xff, 0xff, 0x0f),
    "an index that overflows 64 bits": bytes(0xff, Buffer.alloc(9, 0xff), 0x01),
    "an integer of a thousand bytes": bytes(0xff, Buffer.alloc(1_000, 0x80), 0x00),
    "an index that wraps to one of the table": bytes(0xff, 0x83, 0x80, 0x80, 0x80, 0x10),
    "a length that overflows": bytes(0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, "abc"),
    "a length behind the block": bytes(0x00, 0x05, "name"),
    "a length far behind the block": bytes(0x00, 0x7f, 0x80, 0x80, 0x04, "name"),
    "no value": bytes(0x00, stringLiteral("name")),
    "no name": bytes(0x40),
    "an integer that is cut off": bytes(0xff),
    "a table larger than allowed": bytes(sizeUpdate(4_097)),
    "a table much larger than allowed": bytes(sizeUpdate(1_000_000)),
    "a size of the table that overflows": bytes(0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f),
    "a size of the table behind a field": bytes(0x82, sizeUpdate(0)),
    "a size of the table at the end": bytes(literal("a", "b"), sizeUpdate(4_096)),
    "the end of string alone": bytes(0x00, stringLiteral("a"), 0x84, Buffer.alloc(4, 0xff)),
    "the end of string in the middle": bytes(
      ...[0x00, stringLiteral("a")],
      stringLiteral(Buffer.from("1fffffffe1ff", "hex"), true),
    ),
    "padding of zeros": bytes(0x00, stringLiteral("a"), 0x81, 0x18),
    "padding with a zero": bytes(0x00, stringLiteral("a"), 0x81, 0x1b),
    "padding of eight bits": bytes(0x00, stringLiteral("a"), 0x82, 0x1f, 0xff),
    "nothing but padding of eight bits": bytes(0x00, stringLiteral("a"), 0x81, 0xff),
    "padding of two bytes": bytes(0x00, stringLiteral("a"), 0x83, 0x1f, 0xff, 0xff),
    "a code that is cut off": bytes(0x00, stringLiteral("a"), 0x82, 0xff, 0xfe),
    "such a name": bytes(0x00, 0x81, 0x18, stringLiteral("a")),
  };
  for (const [name, block] of Object.entries(broken)) {
    it(`is broken by ${name}`, () => {
      expect(outcomeOf(block)).to.equal("broken");
      expect(outcomeOf(bytes(0x82, literal("a", "b"), block))).to.equal("broken");
    });
  }

  it("is broken wherever it is cut, except between two fields", () => {
    const fields = [
      bytes(0x82),
      literal("name", "a value", 0x40),
      bytes(0x04, stringLiteral("/path")),
      bytes(0x10, stringLiteral("n"), stringLiteral("v".repeat(200))),
      bytes(0x00, stringLiteral(Buffer.from("25a849e95ba97d7f", "hex"), true), stringLiteral("x")),
      newest,
    ];
    const block = bytes(sizeUpdate(4_096), ...fields);
    let end = sizeUpdate(4_096).length;
    const ends = new Set([0, end, ...fields.map((field) => (end += field.length))]);
    for (let length = 0; length <= block.length; length += 1) {
      const expected = ends.has(length) ? "ok" : "broken";
      expect(outcomeOf(block.subarray(0, length)), `${length}`).to.equal(expected);
    }
  });

  it("is not broken by what is unusual", () => {
    const unusual: Readonly<Record<string, Buffer>> = {
      "an empty block": bytes(),
      "the last entry of the static table": indexed(61),
      "three sizes": bytes(sizeUpdate(0), sizeUpdate(4_096), sizeUpdate(100), 0x82),
      "an integer with zeros behind it": bytes(0x3f, 0x80, 0x80, 0x00, 0x82),
      "an empty value in Huffman code": bytes(0x00, stringLiteral("a"), 0x80),
    };
    for (const [name, block] of Object.entries(unusual)) {
      expect(outcomeOf(block), name).to.equal("ok");
    }
  });
});

describe("the characters of a field", () => {
  const malformed: readonly Field[] = [
    ["", "empty name"],
    ["Upper", "case"],
    ["uppeR", "case"],
    ["a b", "x"],
    [" a", "x"],
    ["a\tb", "x"],
    ["a\0", "x"],
    ["a\x7f", "x"],
    ["a\xe4", "x"],
    ["a:b", "x"],
    ["a:", "x"],
    ["::a", "x"],
    [":method:", "x"],
    ["a\r\nb", "x"],
    ["a", "\0"],
    ["a", "b\rc"],
    ["a", "b\nc"],
    ["a", "b\r\nc: d"],
    ["a", " b"],
    ["a", "b "],
    ["a", "\tb"],
    ["a", "b\t"],
    ["a", " "],
  ];
  for (const [name, value] of malformed) {
    it(`are refused in ${JSON.stringify([name, value])}`, () => {
      const decoder = roomyDecoder();
      expect(decoded(decoder, bytes(0x82, literal(name, value), 0x84)).outcome).to.equal(
        "malformed",
      );
      // The entry is in the table all the same, and malformed whenever it is used.
      expect(decoded(decoder, literal(name, value, 0x40)).outcome).to.equal("malformed");
      expect(decoded(decoder, literal("good", "one", 0x40)).outcome).to.equal("ok");
      expect(decoded(decoder, indexed(63)).outcome).to.equal("malformed");
      expect(decoded(decoder, indexed(62)).outcome).to.equal("ok");
      const isNameWrong = value === "x" || value === "case" || name === "";
      expect(decoded(decoder, bytes(0x0f, 63 - 15, stringLiteral("v"))).outcome).to.equal(
        isNameWrong ? "malformed" : "ok",
      );
    });
  }

  it("may be everything else", () => {
    const good: readonly Field[] = [
      [":anything", "x"],
      ["!#$%&'*+-.^_`|~09az", "x"],
      ["a", ""],
      ["a", "b\tc d"],
      ["a", "\x01\x7f\x80\xff"],
      ["a", ":"],
      ["a", "UPPER"],
    ];
    for (const field of good) {
      const read = decoded(roomyDecoder(), literal(...field));
      expect(read).to.deep.equal({ outcome: "ok", fields: [field] });
    }
  });
});

describe("a head that is too large", () => {
  const small = (maxListBytes: number, maxFields: number) =>
    new HpackDecoder(4_096, maxListBytes, maxFields);

  it("is told from one that just fits", () => {
    const field = literal("name", "value");
    expect(decoded(small(41, 1), field).outcome).to.equal("ok");
    expect(decoded(small(40, 1), field)).to.deep.equal({ outcome: "too_large", fields: [] });
    expect(decoded(small(41, 0), field)).to.deep.equal({ outcome: "too_large", fields: [] });
    const two = decoded(small(81, 5), bytes(field, field));
    expect(two).to.deep.equal({ outcome: "too_large", fields: [["name", "value"]] });
    expect(decoded(small(82, 2), bytes(field, field)).outcome).to.equal("ok");
  });

  it("keeps the table in step, and harms no later head", () => {
    const decoder = small(200, 3);
    const heads = bytes(
      literal("one", "1", 0x40),
      literal("big", "b".repeat(300), 0x40),
      literal("two", "2", 0x40),
      literal("three", "3", 0x40),
      literal("four", "4", 0x40),
    );
    expect(decoded(decoder, heads).outcome).to.equal("too_large");
    expect(decoded(decoder, bytes(indexed(62), indexed(64), indexed(66)))).to.deep.equal({
      outcome: "ok",
      fields: [
        ["four", "4"],
        ["two", "2"],
        ["one", "1"],
      ],
    });
    expect(decoded(decoder, indexed(65)).outcome).to.equal("too_large");
  });

  it("is broken rather than too large, and too large rather than malformed", () => {
    const large = literal("a", "b".repeat(300));
    expect(decoded(small(200, 3), bytes(large, 0x80)).outcome).to.equal("broken");
    expect(decoded(small(200, 3), bytes(large, literal("A", ""))).outcome).to.equal("too_large");
  });

  it("that is a bomb costs what its bytes cost, and keeps nothing", () => {
    const decoder = small(65_536, 200);
    expect(decoded(decoder, literal("bomb", "x".repeat(4_000), 0x40)).outcome).to.equal("ok");
    const bomb = Buffer.alloc(1_000_000, newest[0]);
    const { outcome, fields } = decoded(decoder, bomb);
    expect(outcome).to.equal("too_large");
    expect(fields).to.have.length(16);
  });

  for (const [name, piece] of Object.entries({
    "entries of the table": newest,
    "entries that push each other out": literal("n", "x".repeat(60), 0x40),
    "empty fields": bytes(0x00, 0x00, 0x00),
    "long codes": bytes(0x00, stringLiteral("a"), 0x87, Buffer.from("fffffffbfffffa", "hex")),
    "large entries that empty the table": bytes(
      literal("n", "x", 0x40),
      literal("n", "x".repeat(4_100), 0x40),
    ),
  })) {
    it(`takes time in proportion to its length when it has ${name}`, () => {
      const growth = growthOf((size) => {
        const decoder = roomyDecoder();
        decoded(decoder, literal("n", "x".repeat(1_000), 0x40));
        const block = Buffer.alloc(Math.ceil(size / piece.length) * piece.length, piece);
        return () => decoder.decode(block, 0, block.length, []);
      });
      expect(growth).to.be.lessThan(mostGrowth);
    });
  }
});

describe("the dynamic table", () => {
  it("is emptied by a field that is larger than itself", () => {
    const decoder = roomyDecoder(100);
    expect(decoded(decoder, literal("a", "b", 0x40)).outcome).to.equal("ok");
    expect(decoded(decoder, literal("a", "b".repeat(100), 0x40)).outcome).to.equal("ok");
    expect(decoded(decoder, newest).outcome).to.equal("broken");
  });

  it("may take the name from the entry that it pushes out", () => {
    const decoder = roomyDecoder(100);
    expect(decoded(decoder, literal("name", "b".repeat(40), 0x40)).outcome).to.equal("ok");
    const field = bytes(0x40 | 62, stringLiteral("c".repeat(60)));
    expect(decoded(decoder, field).fields).to.deep.equal([["name", "c".repeat(60)]]);
    expect(decoded(decoder, newest).fields).to.deep.equal([["name", "c".repeat(60)]]);
    expect(decoded(decoder, indexed(63)).outcome).to.equal("broken");
  });

  it("is made smaller and larger again by the other side, and loses what did not fit", () => {
    const decoder = roomyDecoder();
    const three = ["a", "b", "c"].map((name) => literal(name, "x", 0x40));
    expect(decoded(decoder, bytes(...three)).outcome).to.equal("ok");
    const read = decoded(
      decoder,
      bytes(sizeUpdate(70), sizeUpdate(4_096), indexed(62), indexed(63)),
    );
    expect(read.fields).to.deep.equal([
      ["c", "x"],
      ["b", "x"],
    ]);
    expect(decoded(decoder, indexed(64)).outcome).to.equal("broken");
    expect(decoded(decoder, bytes(sizeUpdate(0), literal("d", "x", 0x40))).outcome).to.equal("ok");
    expect(decoded(decoder, newest).outcome).to.equal("broken");
  });

  it("may have no room at all", () => {
    const decoder = roomyDecoder(0);
    expect(decoded(decoder, literal("a", "b", 0x40)).outcome).to.equal("ok");
    expect(decoded(decoder, newest).outcome).to.equal("broken");
    expect(decoded(decoder, sizeUpdate(1)).outcome).to.equal("broken");
  });

  it("holds as many entries as its size allows", () => {
    const decoder = roomyDecoder();
    for (let n = 0; n < 1_000; n += 1) decoded(decoder, literal(":", "", 0x40));
    expect(decoded(decoder, indexed(61 + 124)).fields).to.deep.equal([[":", ""]]);
    expect(decoded(decoder, indexed(61 + 125)).outcome).to.equal("broken");
  });
});
