import { expect } from "chai";
import { formatHistory, type History, lastGood, noted, readHistory, sighted } from "./history.ts";

describe("a history", () => {
  const version = "a".repeat(64);
  const at = Date.UTC(2026, 0, 1);
  const entryOf = (by: string, detail: string) =>
    noted([], { version, outcome: "refused", at, by, detail })[0];

  it("names nobody by what a terminal would obey, nor by half a character", () => {
    expect(entryOf("a\u001b[2J\u202eb\u2028c", "")?.by).to.equal("a [2J b c");
    expect(entryOf(`${"x".repeat(199)}\u{1f600}`, "")?.by).to.equal("x".repeat(199));
    expect(entryOf("me", `${"x".repeat(999)}\u{1f600}`)?.detail).to.equal("x".repeat(999));
  });

  it("is read back as it was written, whoever is named", () => {
    const history = noted([], { version, outcome: "pushed", at, by: "\ud83d".repeat(500) });
    const { history: read, fault } = readHistory("history/scripts/a", formatHistory(history));
    expect(fault).to.equal(null);
    expect(read).to.deep.equal(history);
  });

  describe("of a document whose versions follow each other faster than gateways write", () => {
    const [one, two] = [version, "b".repeat(64)];
    const pushed = (...versions: readonly string[]) =>
      versions.reduce<History>((history, each) => {
        return noted(history, { version: each, outcome: "pushed", at, by: "ada" });
      }, []);
    const told = (history: History) => history.map(({ by, outcome }) => `${by}: ${outcome}`);

    it("says of one that was pushed and served that it was, so that a rollback finds it", () => {
      const history = sighted(pushed(one, two), { version: two, outcome: "live", before: one, at });
      expect(told(history)).to.deep.equal(["ada: live", "ada: replaced"]);
      expect(lastGood(history, two)).to.equal(one);
      const again = sighted(history, { version: two, outcome: "live", before: one, at });
      expect(again, "another gateway has nothing to add").to.equal(history);
    });

    it("says so when the next one is refused, and the one before serves on", () => {
      const seen = { version: two, outcome: "refused", before: one, at } as const;
      expect(told(sighted(pushed(one, two), seen))).to.deep.equal(["ada: refused", "ada: live"]);
    });

    it("has nothing live after a removal, but for what came later", () => {
      const live = sighted(pushed(one), { version: one, outcome: "live", before: null, at });
      const next = noted(live, { version: two, outcome: "pushed", at, by: "bob" });
      const removal = { version: two, outcome: "removed", before: two, at } as const;
      // By the command, at once; the gateways see it later.
      const gone = noted(next, removal);
      expect(told(sighted(gone, removal))).to.deep.equal(["bob: removed", "ada: replaced"]);
      const later = noted(gone, { version: "c".repeat(64), outcome: "live", at, by: "eve" });
      expect(told(sighted(later, removal))).to.deep.equal([
        ...["eve: live", "bob: removed", "ada: replaced"],
      ]);
    });
  });
});
