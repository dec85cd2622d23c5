import { expect } from "chai";
import { LayeredMap } from "./layered-map.ts";

describe("LayeredMap", () => {
  it("is at each version what a map with the same changes is, and stays so", () => {
    let map = new LayeredMap<number>();
    const plain = new Map<string, number>();
    const versions: (readonly [LayeredMap<number>, ReadonlyMap<string, number>])[] = [];
    for (let step = 0; step < 1_000; step += 1) {
      const changes = [7, 13, 29].map((factor): readonly [string, number | null] => {
        const value = (step * factor) % 5 === 0 ? null : step;
        return [`key-${(step * factor) % 400}`, value];
      });
      map = map.with(changes);
      for (const [key, value] of changes)
        if (value === null) plain.delete(key);
        else plain.set(key, value);
      if (step % 97 === 0) versions.push([map, new Map(plain)]);
    }
    for (const [version, expected] of versions) {
      expect(new Map(version)).to.deep.equal(expected);
      expect(version.size).to.equal(expected.size);
      for (let n = 0; n < 400; n += 1) {
        expect(version.get(`key-${n}`)).to.equal(expected.get(`key-${n}`));
        expect(version.has(`key-${n}`)).to.equal(expected.has(`key-${n}`));
      }
    }
  });
});
