import { expect } from "chai";
import { seeded } from "../../test/support/random.ts";
import { Gatherer } from "./gatherer.ts";

describe("pieces of bytes that wait", () => {
  it("are the same bytes in the same order, whenever some are taken from the front", () => {
    const random = seeded(7);
    const gatherer = new Gatherer();
    let pieces: Buffer[] = [];
    const given: Buffer[] = [];
    const taken: Buffer[] = [];
    for (let n = 0; n < 20_000; n += 1) {
      const piece = Buffer.alloc(1 + Math.floor(random() * (random() < 0.1 ? 3_000 : 30)), n);
      given.push(piece);
      // Those who own the list may begin it themselves.
      if (pieces.length === 0 && random() < 0.5) pieces = [piece];
      else gatherer.add(pieces, piece);
      while (pieces.length > 0 && random() < 0.2) taken.push(pieces.shift() ?? piece);
    }
    expect(Buffer.concat([...taken, ...pieces]).equals(Buffer.concat(given))).to.equal(true);
  });

  it("are few when they are small, and large ones are not copied", () => {
    const gatherer = new Gatherer();
    const pieces: Buffer[] = [];
    for (let n = 0; n < 65_536; n += 1) gatherer.add(pieces, Buffer.from("x"));
    expect(pieces.length).to.be.lessThan(20);
    const large = Buffer.alloc(5_000);
    gatherer.add(pieces, large);
    expect(pieces.at(-1)).to.equal(large);
  });
});
