import { expect } from "chai";
import { formatHistory, noted, readHistory } from "./history.ts";

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
});
