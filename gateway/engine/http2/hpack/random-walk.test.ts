/**
 * Random heads and random blocks, by a seed: the encoder against a plain decoder, and the decoder against a plain
 * model that writes every form a block can have and knows what it means.
 */
import { expect } from "chai";
import { fromEnvironment, seedOf } from "../../../../test/support/effort.ts";
import { HpackDecoder as PlainDecoder } from "../../../../test/support/http2/hpack.ts";
import { seeded } from "../../../../test/support/random.ts";
import { HpackEncoder } from "./encoder.ts";
import { bytes, decoded, encoded, type Field, roomyDecoder } from "./fixtures/blocks.ts";
import { ModelWriter } from "./fixtures/model.ts";

const blocks = 400 * fromEnvironment("FUZZ_EFFORT", 1);

const names = [
  "accept",
  "x-a",
  "x-b",
  "via",
  "server",
  "cookie",
  ":path",
  ":status",
  "date",
  "etag",
];
const values = ["", "200", "/", "a", "gzip, deflate", "x".repeat(90), "y".repeat(1_500), "*/*"];

describe("random walks of header compression", () => {
  for (let walk = 0; walk < 6; walk += 1) {
    const seed = seedOf() * 100 + walk;

    it(`writes what a plain decoder reads, seed ${seed}`, () => {
      const random = seeded(seed);
      const encoder = new HpackEncoder();
      const plain = new PlainDecoder();
      const own = roomyDecoder();
      for (let n = 0; n < blocks; n += 1) {
        if (random() < 0.1) encoder.setMaxTableBytes(Math.floor(random() * 6_000));
        if (random() < 0.05) encoder.setMaxTableBytes(Math.floor(random() * 100));
        const head = Array.from({ length: Math.floor(random() * 8) }, (): Field => {
          const name = random() < 0.1 ? `x-${Math.floor(random() * 300)}` : one(random, names);
          const value = random() < 0.3 ? `${Math.floor(random() * 40)}` : one(random, values);
          return [name, value];
        });
        const block = encoded(encoder, head);
        expect(plain.decode(block), `block ${n}`).to.deep.equal(head);
        expect(decoded(own, block), `block ${n}`).to.deep.equal({ outcome: "ok", fields: head });
      }
    });

    it(`reads what a plain model writes, seed ${seed}`, () => {
      const random = seeded(seed);
      const maxTableBytes = one(random, [4_096, 4_096, 256, 33, 8_192]);
      const model = new ModelWriter(random, maxTableBytes);
      const decoder = roomyDecoder(maxTableBytes);
      for (let n = 0; n < blocks; n += 1) {
        const { block, fields } = model.next();
        expect(decoded(decoder, block), `block ${n}`).to.deep.equal({ outcome: "ok", fields });
      }
    });

    it(`survives blocks with random mistakes, seed ${seed}`, () => {
      const random = seeded(seed);
      let brokenBlocks = 0;
      for (let n = 0; n < blocks; n += 1) {
        const model = new ModelWriter(random, 4_096);
        const decoder = roomyDecoder();
        for (let step = 0; step < 3; step += 1) {
          decoded(decoder, model.next().block);
        }
        const { block } = model.next();
        const wrong = mistaken(random, block);
        const { outcome, fields } = decoded(decoder, wrong);
        expect(outcome).to.be.oneOf(["ok", "malformed", "broken"]);
        if (outcome === "broken") brokenBlocks += 1;
        expect(fields.length).to.be.at.most(wrong.length);
      }
      expect(brokenBlocks).to.be.greaterThan(0);
    });
  }
});

function one<T>(random: () => number, list: readonly T[]): T {
  const taken = list[Math.floor(random() * list.length)];
  if (taken === undefined) throw new Error("nothing to choose from");
  return taken;
}

function mistaken(random: () => number, block: Buffer): Buffer {
  const at = Math.floor(random() * (block.length + 1));
  const noise = Buffer.from(
    Array.from({ length: 1 + Math.floor(random() * 4) }, () => random() * 256),
  );
  switch (Math.floor(random() * 4)) {
    case 0:
      return block.subarray(0, at);
    case 1:
      return bytes(block.subarray(0, at), noise, block.subarray(at));
    case 2:
      return bytes(block.subarray(0, at), noise, block.subarray(at + noise.length));
    default:
      return bytes(block.subarray(0, at), block.subarray(at + noise.length));
  }
}
