import { expect } from "chai";
import { FairQueue } from "./examiner.ts";

describe("a fair queue", () => {
  it("gives each key its turn, and each key's work in its order", () => {
    const queue = new FairQueue<string>();
    for (const item of ["a1", "a2", "a3", "b1", "c1", "c2"]) queue.add(item.slice(0, 1), item);
    const taken: string[] = [];
    for (let item = queue.take(); item !== null; item = queue.take()) {
      taken.push(item);
      if (item === "b1") queue.add("b", "b2");
    }
    expect(taken).to.deep.equal(["a1", "b1", "c1", "a2", "b2", "c2", "a3"]);
  });

  it("gives up all that waits when it is cleared", () => {
    const queue = new FairQueue<number>();
    queue.add("a", 1);
    queue.add("b", 2);
    expect(queue.clear()).to.deep.equal([1, 2]);
    expect(queue.take()).to.equal(null);
  });
});
