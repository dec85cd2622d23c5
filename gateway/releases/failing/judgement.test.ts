import { expect } from "chai";
import type { ReplayOutcome } from "../../sandbox/index.ts";
import { reasonToStay } from "./judgement.ts";

const outcomes = { p: "passed", a: "answered", r: "refused", f: "failed" } as const;
/** A letter for each request. */
const read = (text: string | null): readonly ReplayOutcome[] | null =>
  text === null ? null : Array.from(text, (letter) => outcomes[letter as keyof typeof outcomes]);

describe("a version that fails too often is", () => {
  const same = /fails on the same requests/;
  const open = /lets pass what it fails on/;
  const refused = /refuses what it fails on/;
  const unknown = /is not known/;
  // What is compared: in the version that fails, in the one before; then a rewriting rule, and one that refuses.
  const cases: readonly (readonly [string | null, string | null, RegExp | null, RegExp | null])[] =
    [
      ["ff", "pp", null, open],
      ["ff", "aa", null, null],
      ["ff", "ap", null, open],
      ["ff", "rr", null, refused],
      ["ff", "rf", null, refused],
      ["ff", "ra", null, null],
      ["fp", "ra", null, refused],
      ["pp", "rr", null, unknown],
      ["ff", "ff", same, same],
      ["ff", "fa", null, null],
      ["fp", "fa", same, same],
      ["pp", "pp", null, open],
      ["pp", "aa", null, unknown],
      ["pp", "ff", same, same],
      [null, "aa", null, unknown],
      ["ff", null, null, unknown],
      ["", "", null, unknown],
    ];
  for (const [failing, before, rewriting, refusing] of cases) {
    for (const [mustRefuse, why] of [
      [false, rewriting],
      [true, refusing],
    ] as const) {
      const what = mustRefuse ? "one that refuses" : "a rewriting one";
      it(`${why === null ? "taken back" : "kept"}: ${what}, ${failing} and before it ${before}`, () => {
        const compared = { mustRefuse, failing: read(failing), before: read(before) };
        const reason = reasonToStay(compared);
        if (why === null) expect(reason).to.equal(null);
        else expect(reason).to.match(why);
      });
    }
  }
});
