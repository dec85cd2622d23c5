import { expect } from "chai";
import type { Agreement, TakenBack } from "../../model/index.ts";
import { formatHistory, type History, lastGood, noted, recorded } from "../records/history.ts";
import {
  accept,
  beginning,
  isOut,
  isTakenBack,
  mend,
  nextStepAt,
  remove,
  shareOf,
  takeBack,
  widen,
} from "./steps.ts";

const at = (version: string, modifyIndex: number) => ({ version, modifyIndex });
const failed = (version: string, atMs: number, reason: string): TakenBack => ({
  version,
  at: atMs,
  reason,
});
const stalled = (version: string, atMs: number): TakenBack => ({
  ...failed(version, atMs, "it stalled"),
  stalled: { methods: ["PUT"], paths: null, onError: "deny" },
});
const rollout = { percent: 10, stepsMs: [1_000, 2_000], by: "x-user" };
const first = accept(beginning(null), at("v1", 10), null, 0);
const second = accept(first, at("v2", 20), null, 0);

describe("what gateways agree on", () => {
  it("is the version that came last, and the one before it", () => {
    expect(first).to.include({ live: "v1", before: null, index: 10, revision: 1 });
    expect(second).to.include({ live: "v2", before: "v1", index: 20, revision: 2 });
  });

  it("is not changed by a source that is older than what was decided for", () => {
    expect(accept(second, at("v1", 10), null, 0)).to.equal(second);
    expect(accept(second, at("v2", 20), null, 0)).to.equal(second);
  });

  it("is a share for a version with a rollout, which grows evenly and ends with all", () => {
    const agreement = accept(first, at("v2", 20), rollout, 5_000);
    expect(agreement).to.include({ live: "v1", index: 20 });
    if (agreement.next === null) throw new Error("no rollout");
    const shares = [5_000, 5_999, 6_000, 7_999, 8_000].map((now) =>
      shareOf(agreement.next ?? never(), now),
    );
    expect(shares).to.deep.equal([1_000, 1_000, 5_500, 5_500, 10_000]);
    expect(nextStepAt(agreement.next, 5_000)).to.equal(6_000);
    expect(nextStepAt(agreement.next, 6_000)).to.equal(8_000);
    expect(widen(agreement, 7_999)).to.equal(agreement);
    expect(widen(agreement, 8_000)).to.include({
      live: "v2",
      before: "v1",
      next: null,
      revision: 3,
    });
  });

  it("goes back to the version before when one fails, and does not try it again", () => {
    const agreement = takeBack(second, failed("v2", 7, "too bad"));
    expect(agreement).to.include({ live: "v1", before: null });
    expect(agreement.takenBack).to.deep.equal([{ version: "v2", at: 7, reason: "too bad" }]);
    expect(takeBack(agreement, failed("v2", 8, "too bad"))).to.equal(agreement);
    const again = accept(agreement, at("v2", 30), null, 0);
    expect(again).to.include({ live: "v1", index: 30 });
    expect(isTakenBack(again, "v2")).to.equal(true);
    expect(accept(again, at("v3", 40), null, 0)).to.include({ live: "v3", before: "v1" });
  });

  it("ends a rollout that fails, also where there was no version before", () => {
    const agreement = accept(beginning(null), at("v1", 10), rollout, 0);
    expect(takeBack(agreement, failed("v1", 7, "too bad"))).to.include({ live: null, next: null });
  });

  it("keeps a version that fails when there is nothing to go back to", () => {
    expect(takeBack(first, failed("v1", 7, "too bad"))).to.equal(first);
    const agreement = takeBack(second, failed("v2", 7, "too bad"));
    expect(
      takeBack(agreement, failed("v1", 8, "too bad")),
      "the one that was gone back to",
    ).to.equal(agreement);
  });

  it("puts a version out of service that stalled a worker when there is nothing to go back to", () => {
    const out = takeBack(first, stalled("v1", 7));
    expect(out).to.include({ live: "v1", before: null, revision: 2 });
    expect(isOut(out)).to.equal(true);
    expect(takeBack(out, stalled("v1", 8)), "another gateway").to.equal(out);
    expect(accept(out, at("v1", 20), null, 0), "the same again").to.include({ live: "v1" });
    expect(isOut(accept(out, at("v1", 20), null, 0))).to.equal(true);
    const next = accept(out, at("v2", 20), rollout, 9);
    expect(next, "nothing is worth keeping").to.include({ live: "v2", before: null, next: null });
    expect(takeBack(next, failed("v2", 10, "bad")), "never back to v1").to.equal(next);
  });

  it("goes back from a version that stalled a worker as from one that fails", () => {
    expect(takeBack(second, stalled("v2", 7))).to.include({ live: "v1", before: null });
    const agreement = accept(first, at("v2", 20), rollout, 0);
    expect(takeBack(agreement, stalled("v2", 7))).to.include({ live: "v1", next: null });
    const restOut = takeBack(agreement, stalled("v1", 7));
    expect(restOut, "the rest fails, the rollout goes on").to.include({ live: "v1" });
    expect(widen(restOut, 8_000)).to.include({ live: "v2", before: null });
  });

  it("tries a version again that is out of service once a module was changed, or it was removed", () => {
    const out = takeBack(first, stalled("v1", 7));
    expect(isOut(mend(out, "v1", 8))).to.equal(false);
    expect(mend(mend(out, "v1", 8), "v1", 8).revision, "by two gateways").to.equal(3);
    expect(mend(out, "v1", 6), "it stalled after the change").to.equal(out);
    const back = takeBack(second, stalled("v2", 7));
    expect(mend(back, "v2", 8), "taken back is taken back").to.equal(back);
    expect(isTakenBack(remove(out), "v1")).to.equal(false);
  });

  it("drops a rollout when the version before is put back", () => {
    const agreement = accept(first, at("v2", 20), rollout, 0);
    expect(accept(agreement, at("v1", 30), null, 0)).to.include({ live: "v1", next: null });
  });

  it("is nothing when the script is removed, but what was taken back stays known", () => {
    const agreement = remove(takeBack(second, failed("v2", 7, "too bad")));
    expect(agreement).to.include({ live: null, before: null, next: null });
    expect(isTakenBack(agreement, "v2")).to.equal(true);
    expect(remove(agreement)).to.equal(agreement);
  });
});

describe("the history of a script", () => {
  const line = (history: History) => history.map(({ version, outcome }) => `${version} ${outcome}`);
  const grow = (...lives: readonly Agreement[]) => {
    let history: History = [];
    let before: Agreement | null = null;
    for (const agreement of lives) {
      history = recorded(history, before, agreement, 1_000, "gateway g1");
      before = agreement;
    }
    return history;
  };

  it("says who brought a version, when, and how it ended", () => {
    const pushed = noted([], { version: "v1", outcome: "pushed", at: 0, by: "ada" });
    const history = recorded(pushed, null, first, 1_000, "gateway g1");
    expect(history).to.deep.equal([
      {
        version: "v1",
        at: "1970-01-01T00:00:00.000Z",
        by: "ada",
        outcome: "live",
        since: "1970-01-01T00:00:01.000Z",
        detail: null,
      },
    ]);
    expect(line(recorded(history, first, second, 2_000, "g1"))).to.deep.equal([
      "v2 live",
      "v1 replaced",
    ]);
  });

  it("says that a version was taken back, why, and what came after it", () => {
    const back = takeBack(second, failed("v2", 7, "9 errors in 10 calls"));
    const history = grow(first, second, back);
    expect(line(history)).to.deep.equal(["v1 live", "v2 taken back", "v1 replaced"]);
    expect(history[0]).to.include({ by: "gateway g1", detail: "after v2" });
    expect(history[1]?.detail).to.equal("9 errors in 10 calls");
    expect(lastGood(history, "v2")).to.equal("v1");
  });

  it("has a version that was replaced before Consul had the agreement on it", () => {
    const pushed = noted([], { version: "v1", outcome: "pushed", at: 0, by: "ada" });
    for (const before of [[], pushed]) {
      const history = recorded(before, null, second, 1_000, "gateway g1");
      expect(line(history)).to.deep.equal(["v2 live", "v1 replaced"]);
      expect(lastGood(history, "v2")).to.equal("v1");
    }
    expect(recorded(pushed, null, second, 1_000, "gateway g1")[1]?.by).to.equal("ada");
  });

  it("says what is out of service, and that it is live again", () => {
    const out = takeBack(first, stalled("v1", 7));
    const history = grow(first, out);
    expect(line(history)).to.deep.equal(["v1 out of service"]);
    expect(history[0]?.detail).to.equal("it stalled");
    expect(line(grow(first, out, mend(out, "v1", 8)))).to.deep.equal([
      "v1 live",
      "v1 out of service",
    ]);
    const third = accept(out, at("v3", 40), null, 0);
    expect(line(grow(first, out, third))).to.deep.equal(["v3 live", "v1 out of service"]);
    expect(lastGood(grow(first, out, third), "v3")).to.equal(null);
  });

  it("follows a rollout to its end", () => {
    const rolling = accept(first, at("v2", 20), rollout, 0);
    expect(line(grow(first, rolling))).to.deep.equal(["v2 rollout", "v1 live"]);
    expect(line(grow(first, rolling, widen(rolling, 9_000)))).to.deep.equal([
      "v2 live",
      "v1 replaced",
    ]);
    expect(line(grow(first, rolling, takeBack(rolling, failed("v2", 0, "bad"))))).to.deep.equal([
      "v2 taken back",
      "v1 live",
    ]);
    const replaced = accept(rolling, at("v3", 30), null, 0);
    expect(line(grow(first, rolling, replaced))).to.deep.equal([
      "v3 live",
      "v2 replaced",
      "v1 replaced",
    ]);
    expect(line(grow(first, second, remove(second)))).to.deep.equal(["v2 removed", "v1 replaced"]);
  });

  it("says who ended a rollout by putting the version before back", () => {
    const rolling = accept(first, at("v2", 20), rollout, 0);
    const ended = accept(rolling, at("v1", 30), null, 0);
    const pushed = { version: "v1", outcome: "pushed", at: 5, by: "ada" } as const;
    const history = recorded(noted(grow(first, rolling), pushed), rolling, ended, 9, "g1");
    expect(line(history)).to.deep.equal(["v1 live", "v2 replaced", "v1 replaced"]);
    expect(history[0]).to.include({ by: "ada", at: "1970-01-01T00:00:00.005Z" });
    expect(line(recorded(grow(first, rolling), rolling, ended, 9, "g1"))).to.deep.equal([
      "v2 replaced",
      "v1 live",
    ]);
  });

  it("notes a refusal once, however many gateways refuse, and has at most 20 versions", () => {
    const refusal = { version: "v9", outcome: "refused", at: 5, detail: "no" } as const;
    const once = noted([], refusal);
    expect(noted(once, { ...refusal, at: 6 })).to.equal(once);
    let history: History = [];
    for (let each = 0; each < 30; each += 1) {
      history = noted(history, { version: `v${each}`, outcome: "live", at: each });
    }
    expect(history).to.have.lengthOf(20);
    expect(history[0]?.version).to.equal("v29");
  });

  it("stays within the limit of a value, whoever brings what, and on its lines", () => {
    let history: History = [];
    const text = "\u4e16\n".repeat(50_000);
    for (let each = 0; each < 30; each += 1) {
      const note = { version: `${each}`.padStart(64, "a"), at: each, by: text, detail: text };
      history = noted(history, { ...note, outcome: "refused" });
    }
    expect(Buffer.byteLength(formatHistory(history))).to.be.below(512 * 1024);
    expect(history[0]?.by).to.match(/^(\u4e16 )+$/);
  });

  it("knows the last good version, which is none that failed", () => {
    const third = accept(takeBack(second, failed("v2", 0, "bad")), at("v3", 40), null, 0);
    expect(
      lastGood(grow(first, second, takeBack(second, failed("v2", 0, "bad")), third), "v3"),
    ).to.equal("v1");
    expect(lastGood(grow(first), "v1")).to.equal(null);
  });
});

function never(): never {
  throw new Error("no rollout");
}
