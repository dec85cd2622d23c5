import { expect } from "chai";
import { BlockingQueries, type Query } from "./blocking.ts";
import { ManualClock } from "./testing/manual-clock.ts";

const patient = new AbortController().signal;

describe("blocking queries", () => {
  let clock: ManualClock;
  let random: number;
  let queries: BlockingQueries;
  let index: number;
  let runs: number;
  const query: Query<string> = {
    topics: ["kv:a"],
    run: () => {
      runs += 1;
      return { index, value: `at ${index}` };
    },
  };

  beforeEach(() => {
    clock = new ManualClock();
    random = 0;
    queries = new BlockingQueries(clock, () => random);
    index = 7;
    runs = 0;
  });

  /** Milliseconds that a query waits without a change. */
  async function waitOf(waitMs: number): Promise<number> {
    let ended = false;
    const start = clock.now();
    const answer = queries.answer(query, { index: 7, waitMs }, patient).then(() => {
      ended = true;
    });
    while (!ended) {
      clock.advance(500);
      await Promise.resolve();
      await Promise.resolve();
    }
    await answer;
    return clock.now() - start;
  }

  it("wait five minutes when nothing is said and ten minutes at most", async () => {
    expect(await waitOf(0)).to.be.closeTo(300_000, 500);
    expect(await waitOf(3_600_000)).to.be.closeTo(600_000, 500);
    expect(await waitOf(10_000)).to.be.closeTo(10_000, 500);
  });

  it("wait up to a sixteenth longer, so that clients do not come back all at once", async () => {
    random = 1;
    expect(await waitOf(160_000)).to.be.closeTo(170_000, 500);
  });

  it("stay asleep when a commit concerns them but leaves their index", async () => {
    const answer = queries.answer(query, { index: 7, waitMs: 1000 }, patient);
    queries.notify({ index: 8, writes: [["kv", "a", null]] });
    expect(queries.waiting).to.equal(1);
    index = 9;
    queries.notify({ index: 9, writes: [["kv", "b", null]] });
    expect(queries.waiting).to.equal(1);
    expect(runs).to.equal(2);
    queries.notify({ index: 10, writes: [["kv", "a", null]] });
    expect(await answer).to.deep.equal({ index: 9, value: "at 9" });
  });

  it("leave no timer and no subscription behind, however they end", async () => {
    const hangUp = new AbortController();
    const left = queries.answer(query, { index: 7, waitMs: 1000 }, hangUp.signal);
    const waited = queries.answer(query, { index: 7, waitMs: 500 }, patient);
    const closed = queries.answer(query, { index: 7, waitMs: 9000 }, patient);
    expect([queries.waiting, clock.armed]).to.deep.equal([3, 3]);
    hangUp.abort();
    expect(await left).to.equal(null);
    clock.advance(500);
    expect(await waited).to.deep.equal({ index: 7, value: "at 7" });
    queries.close();
    expect(await closed).to.deep.equal({ index: 7, value: "at 7" });
    expect([queries.waiting, clock.armed]).to.deep.equal([0, 0]);
    const before = runs;
    queries.notify({ index: 8, writes: [["kv", "a", null]] });
    expect(runs).to.equal(before);
  });

  it("do not wait any more once they are closed", async () => {
    queries.close();
    const answer = await queries.answer(query, { index: 7, waitMs: 1000 }, patient);
    expect(answer?.index).to.equal(7);
  });
});
