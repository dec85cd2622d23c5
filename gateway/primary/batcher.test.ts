import { expect } from "chai";
import type { Served } from "../model/index.ts";
import { Batcher } from "./batcher.ts";
import { ManualClock } from "./fixtures/clock.ts";

const change = (key: string): Served => ({ kind: "setting", key, value: 1 });

describe("batcher", () => {
  const make = () => {
    const clock = new ManualClock();
    const batches: string[][] = [];
    const batcher = new Batcher({
      clock,
      delayMs: 5,
      flush: (changes) => batches.push(changes.map(({ key }) => key)),
    });
    return { clock, batches, batcher };
  };

  it("makes one batch of what arrives within its time, in order", () => {
    const { clock, batches, batcher } = make();
    batcher.add([change("a")]);
    clock.advance(4);
    batcher.add([change("b"), change("c")]);
    expect(batches).to.deep.equal([]);
    clock.advance(1);
    expect(batches).to.deep.equal([["a", "b", "c"]]);
  });

  it("is not held open by changes that keep coming", () => {
    const { clock, batches, batcher } = make();
    for (let count = 0; count < 10; count += 1) {
      batcher.add([change(String(count))]);
      clock.advance(2);
    }
    expect(batches.map((batch) => batch.length)).to.deep.equal([3, 3, 3]);
  });

  it("flushes at once when told to, and nothing twice", () => {
    const { clock, batches, batcher } = make();
    batcher.add([change("a")]);
    batcher.flushNow();
    batcher.flushNow();
    clock.advance(100);
    batcher.add([]);
    clock.advance(100);
    expect(batches).to.deep.equal([["a"]]);
  });
});
