import { expect } from "chai";
import type { ToWorker } from "../model/index.ts";
import { ManualClock } from "./fixtures/clock.ts";
import { SharedCounts } from "./shared-counts.ts";

describe("what workers share through the primary", () => {
  let clock: ManualClock;
  let counts: SharedCounts;
  let told: Map<number, ToWorker[]>;

  function add(worker: number): void {
    const messages: ToWorker[] = [];
    told.set(worker, messages);
    counts.add(worker, (message) => void messages.push(message));
  }
  /** What a worker was told since it was asked the last time. */
  const news = (worker: number) => told.get(worker)?.splice(0) ?? [];

  beforeEach(() => {
    clock = new ManualClock();
    counts = new SharedCounts(2, clock);
    told = new Map();
    for (const worker of [1, 2]) {
      add(worker);
      news(worker);
    }
  });

  it("is for each worker the requests that the others have, a while after it is started", () => {
    counts.takeLoads(1, { peers: [["10.0.0.1:80", 3]], upstreams: [["shop", 4]] });
    clock.advance(1_000);
    expect(news(2)).to.deep.equal([]);
    counts.start();
    clock.advance(1_000);
    expect(news(1)).to.deep.equal([]);
    expect(news(2)).to.deep.equal([
      { type: "loads", loads: { peers: [["10.0.0.1:80", 3]], upstreams: [] } },
      { type: "loads", loads: { peers: [], upstreams: [["shop", 4]] } },
    ]);
    counts.remove(1);
    clock.advance(1_000);
    expect(news(2)).to.deep.equal([
      { type: "loads", loads: { peers: [["10.0.0.1:80", 0]], upstreams: [] } },
      { type: "loads", loads: { peers: [], upstreams: [["shop", 0]] } },
    ]);
    counts.stop();
    counts.takeLoads(2, { peers: [["10.0.0.1:80", 1]], upstreams: [] });
    clock.advance(1_000);
    expect(news(2)).to.deep.equal([]);
  });

  it("is what calls of scripts cost, for those that come later as well, and nothing for those that left", () => {
    const cost = { host: "a.example", version: "v1", usualMs: 1 };
    counts.remove(2);
    counts.takeCosts([{ ...cost, calls: 20, errors: 0, lastError: null }]);
    expect(news(1)).to.deep.equal([{ type: "scriptCosts", costs: [cost] }]);
    expect(news(2)).to.deep.equal([]);
    add(3);
    expect(news(3)).to.deep.equal([{ type: "scriptCosts", costs: [cost] }]);
  });

  it("is the tokens of a rate limit, whoever asks first", () => {
    const ask = { limit: "site", key: "a", perSecond: 1, burst: 2, wanted: 2 };
    expect(counts.grant([ask, ask]).map(({ tokens }) => tokens)).to.deep.equal([2, 0]);
    clock.advance(1_000);
    expect(counts.grant([ask]).map(({ tokens }) => tokens)).to.deep.equal([1]);
  });
});
