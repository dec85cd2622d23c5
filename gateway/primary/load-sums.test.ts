import { expect } from "chai";
import type { Load } from "../model/index.ts";
import { LoadSums } from "./load-sums.ts";

describe("requests that workers have, summed up", () => {
  let sums: LoadSums;
  let told: Map<number, Load[]>;

  beforeEach(() => {
    sums = new LoadSums();
    told = new Map();
  });

  function add(worker: number): void {
    sums.add(worker, (loads) => told.set(worker, [...loads]));
  }
  function tell(): Record<number, Load[]> {
    told.clear();
    sums.tellAll();
    return Object.fromEntries(told);
  }

  it("are told to each of the others, and only where they changed", () => {
    for (const worker of [1, 2, 3]) add(worker);
    sums.take(1, [
      ["a", 2],
      ["b", 1],
    ]);
    sums.take(2, [["a", 3]]);
    expect(tell()).to.deep.equal({
      1: [["a", 3]],
      2: [
        ["a", 2],
        ["b", 1],
      ],
      3: [
        ["a", 5],
        ["b", 1],
      ],
    });
    expect(tell()).to.deep.equal({});
    sums.take(2, [["a", 1]]);
    sums.take(1, [["b", 0]]);
    expect(tell()).to.deep.equal({
      1: [["a", 1]],
      2: [["b", 0]],
      3: [
        ["a", 3],
        ["b", 0],
      ],
    });
  });

  it("are all told to a worker that comes, and less by those of one that goes", () => {
    for (const worker of [1, 2]) add(worker);
    sums.take(1, [["a", 2]]);
    sums.take(2, [["b", 4]]);
    tell();
    add(3);
    expect(tell()).to.deep.equal({
      3: [
        ["a", 2],
        ["b", 4],
      ],
    });
    sums.remove(2);
    expect(tell()).to.deep.equal({ 1: [["b", 0]], 3: [["b", 0]] });
    sums.take(2, [["b", 9]]);
    expect(tell(), "it has gone").to.deep.equal({});
  });
});
